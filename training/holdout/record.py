"""What leaving sources out found: ``holdout.json``, for a release to take over."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from app.errors import NeumoError
from app.language import Text
from app.model.card import Certainty
from app.model.labels import LabelId
from app.model.measured.figures import HeldOut, Strict, TradeOff
from training.config import Config
from training.export.evidence import Limits

RECORD_FILE: Final = "holdout.json"
_CHOSEN_BY: Final = (
    *("risk_healthy", "risk_pneumonia", "least_floor"),
    *("children", "weak_sets", "weigh", "collections"),
)


class HoldoutUnusable(NeumoError):
    """What `--holdout` names can't be taken over."""

    code = "holdout_unusable"
    title = Text("The hold-out can't be used", "No se puede usar la validación por centros")
    advice = Text(
        "{path}: {reason}. `neumo-train holdout` writes it; folds that are done are kept.",
        "{path}: {reason}. Lo escribe `neumo-train holdout`; lo ya entrenado se conserva.",
    )


class Record(Strict):
    """What networks answered for sources that they never saw, and what was chosen by it."""

    name: str = Field(description="Of the run")
    temperature: Annotated[float, Field(gt=0)] | None = Field(
        description="Divides the logits; none: the one of validation does"
    )
    operating_points: dict[LabelId, float] = Field(description="As in the card")
    certainty: Certainty = Field(description="As in the card")
    distance_factor: float = Field(
        ge=1, description="How many times further out a new hospital's X-rays are than validation's"
    )
    from_validation: list[str] = Field(
        description="Kinds that no held-out source could speak for: chosen by validation's"
    )
    risk_healthy: float = Field(description="As in the settings")
    risk_pneumonia: float = Field(description="As in the settings")
    least_floor: float = Field(0.0, description="As in the settings")
    children: list[str] = Field(description="As in the settings")
    weak_sets: list[str] = Field([], description="As in the settings")
    collections: list[str] = Field([], description="As in the settings")
    weigh: Literal["groups", "images"] = Field("groups", description="As in the settings")
    sources: dict[str, HeldOut] = Field(description="By what was held out")
    trade_off: list[TradeOff] = Field(description="As in the card")


def limits_of(config: Config) -> Limits:
    """Return what may go wrong at most, by the settings."""
    return Limits(config.risk, config.risk_healthy, config.risk_pneumonia, config.least_floor)


def chosen_by(config: Config) -> dict[str, Any]:
    """Return the settings that a record keeps, by name: what its thresholds were chosen by."""
    return {name: getattr(config, name) for name in _CHOSEN_BY}


def read_record(config: Config) -> Record | None:
    """Return what the settings' `holdout` names, a file or its folder; None if they name none.

    Raises
    ------
    HoldoutUnusable
        If it can't be read, or was chosen by other settings.
    """
    if config.holdout is None:
        return None
    path = config.holdout / RECORD_FILE if config.holdout.is_dir() else config.holdout
    try:
        record = Record.model_validate_json(path.read_bytes())
    except OSError:
        raise HoldoutUnusable(path=str(path), reason="there is no such file") from None
    except ValidationError:
        raise HoldoutUnusable(path=str(path), reason="it is not what this version reads") from None
    if record.certainty.risk != config.risk or any(
        getattr(record, name) != value for name, value in chosen_by(config).items()
    ):
        reason = "it was chosen with another risk, " + ", ".join(_CHOSEN_BY[:-1])
        reason += f" or {_CHOSEN_BY[-1]}"
        raise HoldoutUnusable(path=str(path), reason=reason)
    return record
