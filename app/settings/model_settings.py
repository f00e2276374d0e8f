"""Settings of several models: which are loaded, which reads along, whose signatures are asked."""

from pathlib import Path
from typing import Final

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from app.model.registry import name_of
from app.model.signature import SignatureRule

MOST_MODELS: Final = 16


class ModelSettings(BaseSettings):
    """Bundles beside the one of NEUMO_MODEL."""

    model: str = Field(
        "neumo-r18-3", description="Bundle to serve: a name below models/, or a folder's path."
    )
    models: str = Field(
        "",
        description="Further bundles, names or paths with commas between: each worker loads them "
        "too, to switch to by POST /admin/models/NAME/activate. One that can't be served is told "
        "in the log and in GET /models, and can't be switched to.",
    )
    shadow: str = Field(
        "",
        description="Bundle that reads the same films off the requests' path, while there is "
        "nothing else to do; how far it agrees is in the metrics. Loaded as those of models are.",
    )
    model_choice: str = Field(
        "",
        description="File that keeps which model was made the active one, for the next start; its "
        "folder has to be writable. It holds until NEUMO_MODEL names another. Empty: a restart "
        "goes back to NEUMO_MODEL.",
    )
    signatures_required: bool = Field(
        False,
        description="Serve signed bundles only: signature.json has to be by one of "
        "signature_keys. Needs neumo[signatures].",
    )
    signature_keys: str = Field(
        "",
        description="PEM file of the Ed25519 public keys that bundles may be signed with. A "
        "signature that is there is checked also where none is required.",
    )
    drift_window_s: int = Field(
        24 * 3600,
        ge=60,
        le=31 * 24 * 3600,
        description="Seconds of the window whose films neumo_drift_psi compares with the card's "
        "reference.",
    )
    drift_least_films: int = Field(
        200,
        ge=20,
        le=1_000_000,
        description="Films that the window has to hold before neumo_drift_psi is told: of fewer it "
        "says more of chance than of drift.",
    )

    @field_validator("models", "shadow")
    @classmethod
    def _check_bundles(cls, value: str, info: ValidationInfo) -> str:
        known = {name: info.data.get(name, "") for name in ("model", "models", "shadow")}
        names = [name_of(each) for each in _list_bundles(**known | {str(info.field_name): value})]
        if len(set(names)) < len(names):
            raise ValueError("two of the bundles have the same name")
        if len(names) > MOST_MODELS:
            raise ValueError(f"with it there are more than {MOST_MODELS} bundles")
        return value

    @field_validator("signature_keys")
    @classmethod
    def _check_keys(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("signatures_required") and not value:
            raise ValueError("is needed where NEUMO_SIGNATURES_REQUIRED is on")
        return value

    @property
    def bundles(self) -> tuple[str, ...]:
        """Every bundle once: the one to serve, those of `models`, the shadow."""
        return _list_bundles(self.model, self.models, self.shadow)

    @property
    def signature_rule(self) -> SignatureRule:
        """Whose signatures are asked for."""
        keys = Path(self.signature_keys) if self.signature_keys else None
        return SignatureRule(keys, self.signatures_required)


def _list_bundles(model: str, models: str, shadow: str) -> tuple[str, ...]:
    further = (each.strip() for each in models.split(","))
    return tuple(dict.fromkeys(each for each in (model, *further, shadow.strip()) if each))
