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
        body = _Body(receive, send, self._by_path.get(scope["path"], self._default_bytes))
        if _exceeds(Headers(scope=scope).get("content-length", "0"), body.limit_bytes):
            body.refuse()
        try:
            if not body.refused:
                await self._app(scope, body.receive, body.send)
                return
            raise BodyTooLarge(max_body_bytes=body.limit_bytes)
        except BodyTooLarge as error:
            record = record_of(scope)
            record.code = error.code
            answer = problem_response(error, record.request_id, record.language)
            await answer(scope, receive, body.send)


def _exceeds(declared: str, limit: int) -> bool:
    """Compare as text: Python refuses to make an int of thousands of digits."""
    digits = declared.lstrip("0")
    if not (digits.isascii() and digits.isdigit()):
        return False
    return (len(digits), digits) > (len(str(limit)), str(limit))


class _Body:
    """One request's body: counts what arrives, and lingers after a refusal."""

    def __init__(self, receive: Receive, send: Send, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.refused = False
        self._receive = receive
        self._send = send
        self._received_bytes = 0

    def refuse(self) -> None:
        self.refused = True

    async def receive(self) -> Message:
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self.limit_bytes:
            self.refuse()
            raise BodyTooLarge(max_body_bytes=self.limit_bytes)
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
    """A bounded number of requests in flight, their work done by a fixed number of threads."""

    def __init__(self, max_in_flight: int, threads: int) -> None:
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="reader")

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a place for one request, from before its body is read until its answer is made.

        Raises
        ------
        Overloaded
            If every place is taken.
        """
        if self._in_flight >= self._max_in_flight:
            raise Overloaded
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` on a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Stop the threads once their work is done."""
        self._executor.shutdown(wait=True)
