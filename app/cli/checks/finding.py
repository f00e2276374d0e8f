"""A finding: what was looked at, how it is, and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
"""warn: it serves, but not as somebody may think; fail: it does not serve, or not for long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : its name, a stable word
    text : what is the case
    advice : what to do; empty if nothing
    """

    check: str
    level: Level
    text: str
    advice: str = ""
