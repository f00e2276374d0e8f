"""What is searched for: a TOML file of settings with their bounds or choices."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from optuna import Trial
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import NeumoError
from app.language import Text
from training.config import Config
from training.recipe import RECIPES

SPACES: Final = RECIPES / "sweeps"
"""The folder of the spaces that come with the package."""

_FIXED: Final = (
    # Of the data, or of what judges: a trial that changed them could not be compared.
    {"name", "data", "root", "patient_pattern", "out", "runs", "subset"}
    | {"leave_out", "unlearned_sources"}
    | {"validation_share", "seed", "keep", "patience"}
    # Of the release: no training changes by them.
    | {"calibration_images", "calibration_method", "temperature", "holdout", "risk"}
    | {"risk_healthy", "risk_pneumonia", "least_floor", "children", "weak_sets", "weigh"}
    | {"collections", "licence", "intended_use", "limitations", "population"}
    | {"teacher_bundle", "teacher_sources", "weights", "precision"}
)


class SpaceUnusable(NeumoError):
    """The file of what is searched for can't be used."""

    code = "space_unusable"
    title = Text("The search space can't be used", "No se puede usar el espacio de búsqueda")
    advice = Text("{path}: {reason}.", "{path}: {reason}.")


class Range(BaseModel):
    """Numbers from `low` to `high`, both included: whole ones, if both are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.high <= self.low:
            raise ValueError("high is not above low")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log wants low above 0, and no step")
        if self.step is not None and self.step <= 0:
            raise ValueError("step is not above 0")
        if self.whole and isinstance(self.step, float):
            raise ValueError("the step between whole numbers is whole")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Choice = str | bool | int | float


class SearchSpace(BaseModel):
    """The settings searched for, what judges a trial, and when one is cut short."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["holdout", "validation"] = "holdout"
    prune_after: int = Field(default=5, ge=0, description="Trials that are never cut short")
    space: dict[str, Range | list[Choice]] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for name, values in self.space.items():
            if name not in Config.model_fields:
                raise ValueError(f"{name} is no setting")
            if name in _FIXED:
                raise ValueError(f"{name} can't be searched for: trials could not be compared")
            if isinstance(values, list) and len(set(map(repr, values))) < max(2, len(values)):
                raise ValueError(f"{name} wants two choices or more, each once")
            whole = Config.model_fields[name].annotation is int
            if whole and isinstance(values, Range) and not values.whole:
                raise ValueError(f"{name} is of whole numbers")
        return self

    def suggest(self, trial: Trial) -> dict[str, Choice]:
        """Return a trial's value of each setting."""
        return {name: _suggest(trial, name, values) for name, values in self.space.items()}

    def check(self, fixed: Mapping[str, Any]) -> None:
        """Make sure that each bound and choice is a value that its setting may have.

        Parameters
        ----------
        fixed : all other settings

        Raises
        ------
        pydantic.ValidationError
            As a recipe's settings do.
        """
        Config.model_validate(dict(fixed))
        for name, values in self.space.items():
            ends = [values.low, values.high] if isinstance(values, Range) else values
            for value in ends:
                # One at a time: two that exclude one another fail their trial alone.
                Config.model_validate({**fixed, name: value})


def read_space(path: Path) -> SearchSpace:
    """Read a file; a bare name that is no file here means one that comes with neumo.

    Raises
    ------
    SpaceUnusable
        If it can't be read, or says what can't be searched for.
    """
    if path.name == str(path) and not path.exists() and (SPACES / path).exists():
        path = SPACES / path
    try:
        return SearchSpace.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"] if part not in ("Range",))
        said = fault["msg"].removeprefix("Value error, ")
        reason = ": ".join(filter(None, (place, said)))
    except (OSError, ValueError) as error:
        reason = str(error)
    raise SpaceUnusable(path=str(path), reason=reason)


def _suggest(trial: Trial, name: str, values: Range | list[Choice]) -> Choice:
    if isinstance(values, list):
        chosen: Choice = trial.suggest_categorical(name, values)  # type: ignore[assignment]
        return chosen
    if values.whole:
        step = 1 if values.step is None else int(values.step)
        return trial.suggest_int(name, int(values.low), int(values.high), step=step, log=values.log)
    return trial.suggest_float(
        name, float(values.low), float(values.high), step=values.step, log=values.log
    )
