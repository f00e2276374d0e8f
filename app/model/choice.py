"""The choice: which model was made the active one, kept in a small file across restarts."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ChoiceUnusable


class Choice(BaseModel):
    """What stands in the file.

    `instead_of` is what the settings named when it was chosen. Where they name another since,
    that is the newer decision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    active: str = Field(description="Name of the bundle")
    former: str | None = Field(description="Name of the one before, to roll back to")
    instead_of: str = Field(description="NEUMO_MODEL at that time")
    chosen_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


def read_choice(path: Path) -> Choice | None:
    """Read the file; None where there is none yet.

    Raises
    ------
    ChoiceUnusable
    """
    try:
        return Choice.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise ChoiceUnusable(file=path.name) from None


def write_choice(path: Path, choice: Choice) -> None:
    """Write the file, whole or not at all, also if the machine stops meanwhile.

    Raises
    ------
    OSError
    """
    building = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with building.open("x", encoding="utf-8") as file:  # follows no link that lies there
            file.write(choice.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    except OSError:
        building.unlink(missing_ok=True)
        raise
