"""Which version is released, and when: `app.__version__` and the date in CHANGELOG.md."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_HEADING: Final = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


class ReleaseFault(Exception):
    """A release that must not be made; its text says why."""


def released() -> dict[str, str]:
    """Return the versions that CHANGELOG.md dates, the newest first."""
    return dict(_HEADING.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))


def date_of(version: str) -> datetime:
    """Return when a version was released, at midnight UTC.

    Raises
    ------
    ReleaseFault
        If CHANGELOG.md has no heading ``## [version] - date``.
    """
    try:
        return datetime.strptime(released()[version], "%Y-%m-%d").replace(tzinfo=UTC)
    except KeyError:
        raise ReleaseFault(f"CHANGELOG.md has no dated heading of {version}") from None
