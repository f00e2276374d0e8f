"""A caller: under which name it is written down, and what it may ask for."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["predict", "feedback", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name : of the key or the token's subject; empty where none was asked for
    scopes : what it may ask for
    """

    name: str
    scopes: frozenset[Scope]


ANYONE: Final = Caller("", frozenset(SCOPES))
"""Who asks where no key is asked for: it may do all."""
