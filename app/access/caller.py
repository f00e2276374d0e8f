"""A caller: under which name it is written down, and what it may ask for."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["predict", "feedback", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a caller may ask.

    Parameters
    ----------
    per_s : requests a second, over time
    burst : requests at once
    """

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name : of the key, of the client's certificate or the token's subject; empty where none was
        asked for
    scopes : what it may ask for
    account : whose requests are counted together: a key's id, or what stands for it
    rate : how often it may ask; None: as often as it likes
    """

    name: str
    scopes: frozenset[Scope]
    account: str = ""
    rate: Rate | None = None


ANYONE: Final = Caller("", frozenset(SCOPES))
"""Who asks where no key is asked for: it may do all."""


def parse_scopes(words: str) -> frozenset[Scope]:
    """Read a list such as ``predict,feedback``.

    Raises
    ------
    ValueError : for a scope that is none
    """
    given = {word.strip() for word in words.split(",") if word.strip()}
    scopes = frozenset(scope for scope in SCOPES if scope in given)
    if len(scopes) < len(given) or not scopes:
        raise ValueError(f"scopes are {', '.join(SCOPES)}")
    return scopes
