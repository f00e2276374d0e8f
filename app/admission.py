"""Who gets in: bodies under their limit, and no more requests at once than can be held.

`BodyLimit` is a pure ASGI middleware, because FastAPI would read a body before any dependency
could refuse it. `Admission` counts the requests in flight and runs their work on a fixed pool
of threads.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.envelope import record_of
from app.errors import BodyTooLarge, Overloaded
from app.problems import problem_response

Result = TypeVar("Result")

_LINGER_S: Final = 5.0
_LINGER_BYTES: Final = 64 * 2**20
_MOST_DIGITS: Final = 18


class BodyLimit:
    """Refuses bodies over `default_bytes`, or over what `by_path` says for their path.

    A declared length is refused before a byte is read, an undeclared one (chunked) as soon as
    it is over. Either way what the client still sends is read and thrown away for a while, or
    the client would meet a reset connection instead of its answer.
    """

    def __init__(self, app: ASGIApp, default_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._default_bytes = default_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = record_of(scope)
        limit = self._by_path.get(scope["path"], self._default_bytes)
        declared = _declared_bytes(scope)
        record.body_bytes = limit if declared is None else declared
        body = _Body(receive, send, limit, refused=record.body_bytes > limit)
        if not body.refused:
            await self._app(scope, body.receive, body.send)
            return
        record.code = BodyTooLarge.code
        error = BodyTooLarge(max_body_bytes=limit)
        answer = problem_response(error, record.request_id, record.language)
        await answer(scope, receive, body.send)


def _declared_bytes(scope: Scope) -> int | None:
    """Return the body's length as its head declares it; None if it comes in chunks."""
    headers = Headers(scope=scope)
    if "content-length" not in headers:
        return None if "transfer-encoding" in headers else 0
    digits = headers["content-length"].lstrip("0")[:_MOST_DIGITS]  # int() refuses thousands
    return int(digits) if digits.isascii() and digits.isdigit() else 0


class _Body:
    """One request's body: counts what arrives, and lingers after a refusal."""

    def __init__(self, receive: Receive, send: Send, limit_bytes: int, *, refused: bool) -> None:
        self.refused = refused
        self._limit_bytes = limit_bytes
        self._receive = receive
        self._send = send
        self._received_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self._limit_bytes:
            self.refused = True
            raise BodyTooLarge(max_body_bytes=self._limit_bytes)
        return message

    async def send(self, message: Message) -> None:
        if not self.refused or message["type"] != "http.response.body":
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _linger(self) -> None:
        discarded = 0
        try:
            async with asyncio.timeout(_LINGER_S):
                more = True
                while more and discarded < _LINGER_BYTES:
                    message = await self._receive()
                    discarded += len(message.get("body", b""))
                    more = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            return


class Admission:
    """A bounded number of requests in flight, their work done by a fixed number of threads.

    Parameters
    ----------
    max_in_flight, max_held_bytes : the places, and the bytes of bodies held in memory
    threads : that do the work
    """

    def __init__(self, max_in_flight: int, max_held_bytes: int, threads: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_held_bytes = max_held_bytes
        self._in_flight = 0
        self._held_bytes = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="reader")

    @asynccontextmanager
    async def admit(self, body_bytes: int) -> AsyncIterator[None]:
        """Hold a place for one request, from before its body is read until its answer is made.

        `body_bytes` is what the body takes at the most. A request is never too large to be
        alone: its own limit bounds it.

        Raises
        ------
        Overloaded
            If every place is taken, or the bodies in flight leave no room for this one.
        """
        crowded = self._held_bytes + body_bytes > self._max_held_bytes
        if self._in_flight >= self._max_in_flight or (crowded and self._in_flight > 0):
            raise Overloaded
        self._in_flight += 1
        self._held_bytes += body_bytes
        try:
            yield
        finally:
            self._in_flight -= 1
            self._held_bytes -= body_bytes

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` on a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Stop the threads once their work is done."""
        self._executor.shutdown(wait=True)
