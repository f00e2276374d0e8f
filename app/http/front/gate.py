"""The gate: what is decided of a request at its head, and while its body comes.

A pure ASGI middleware, because FastAPI would read a body before any dependency could refuse it,
and because a refusal has to be cheap: under overload most of what is sent is refusals.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge, RequestTimeout
from app.service.admission import Admission, Claim

_MOST_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class BodyRules:
    """How large a body may be, and how slow.

    Parameters
    ----------
    max_bytes, max_bytes_by_path : largest body, and what other paths take, as declared
    timeout_s : to receive a body in, and a second more for each `min_bytes_per_s` of it received
    """

    max_bytes: int
    max_bytes_by_path: Mapping[str, int]
    timeout_s: float
    min_bytes_per_s: int


class Gate:
    """Lets requests in, or answers them with a problem.

    - A declared length over its limit is refused before a byte is read, an undeclared one
      (chunked) as soon as it is over.
    - A body that comes too slowly is given up.
    - A POST to one of `work_paths` needs a model that is ready, and a place (`Admission.admit`);
      all else is answered under any load. Its `Claim` is in the scope: see `claim_of`.

    Parameters
    ----------
    check_ready : raises `NotReady` if no work can be done
    declared_path : of a route, as it is declared, by a request's path
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: BodyRules,
        admission: Admission,
        check_ready: Callable[[], object],
        work_paths: Collection[str],
        declared_path: Callable[[str], str | None],
    ) -> None:
        self._app = app
        self._rules = rules
        self._admission = admission
        self._check_ready = check_ready
        self._work_paths = work_paths
        self._declared_path = declared_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = self._declared_path(scope["path"])
        limit = self._rules.max_bytes_by_path.get(path or "", self._rules.max_bytes)
        headers = Headers(scope=scope)
        declared = _declared_bytes(headers)
        body = _Body(self._rules, limit, receive)
        if declared is not None and declared > limit:
            raise BodyTooLarge(max_body_bytes=limit)
        if scope["method"] == "POST" and path in self._work_paths:
            self._check_ready()
            with self._admission.admit(declared or 0, body.disconnected) as claim:
                scope["neumo.claim"] = claim
                body.hold = lambda count: self._admission.hold(claim, count)
                await self._app(scope, body.receive, send)
        else:
            await self._app(scope, body.receive, send)


def claim_of(scope: Scope) -> Claim:
    """Return the claim that `Gate` put into the scope of a request for work."""
    claim: Claim = scope["neumo.claim"]
    return claim


def _declared_bytes(headers: Headers) -> int | None:
    """Return the body's length as its head declares it; None if it comes in chunks."""
    if "content-length" not in headers:
        return None if "transfer-encoding" in headers else 0
    digits = headers["content-length"].lstrip("0")[:_MOST_DIGITS]  # int() refuses thousands
    return int(digits) if digits.isascii() and digits.isdigit() else 0


class _Body:
    """One request's body: counts and times what arrives.

    What is left of a body that was answered already is the connection's concern.
    """

    def __init__(self, rules: BodyRules, limit_bytes: int, receive: Receive) -> None:
        self.hold: Callable[[int], None] = lambda _: None
        self._rules = rules
        self._limit_bytes = limit_bytes
        self._receive = receive
        self._received_bytes = 0
        self._waited_s = 0.0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        message = await self._receive_in_time()
        count = len(message.get("body", b""))
        self._received_bytes += count
        if self._received_bytes > self._limit_bytes:
            raise BodyTooLarge(max_body_bytes=self._limit_bytes)
        self.hold(count)
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def disconnected(self) -> None:
        """Return when the client has gone; call it once the body is complete."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _receive_in_time(self) -> Message:
        # Only what is waited for counts: the disk on which a film of several is kept may be slow.
        allowed_s = self._rules.timeout_s + self._received_bytes / self._rules.min_bytes_per_s
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(allowed_s - self._waited_s):
                return await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        finally:
            self._waited_s += time.monotonic() - begun_s
