"""Who calls: found out in front of the body, and kept in the ASGI scope."""

from typing import Final

from starlette.types import Scope as AsgiScope

from app.access.caller import ANYONE, Caller

_KEY: Final = "neumo.caller"


def caller_of(scope: AsgiScope) -> Caller:
    """Return who sent a request; `ANYONE` where no key is asked for."""
    caller: Caller = scope.get(_KEY, ANYONE)
    return caller
