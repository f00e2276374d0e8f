"""One request and its answer, as ASGI's `receive` and `send` (specification 2.3)."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, Protocol

from app.errors import RequestError
from app.server.connection.flow import Flow
from app.server.connection.request_parser import RawHeaders

_log = logging.getLogger("neumo.connection")

Message = MutableMapping[str, Any]
Scope = dict[str, Any]
Application = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

# RFC 9110, sections 5.1 and 5.5: what would end a header, or be taken for something else.
_NOT_IN_NAMES: Final = re.compile(rb'[\x00-\x20\x7f()<>@,;:\\\[\]={}"]')
_NOT_IN_VALUES: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SMALL_BYTES: Final = 4096
_BODILESS: Final = (204, 304)  # RFC 9110, section 6.4.1


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""  # RFC 9112, section 4: it may be empty
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINES: Final = {status: _status_line(status) for status in range(100, 600)}


class Answer(Enum):
    """How far an answer is."""

    AWAITED = "awaited"
    STARTED = "started"
    COMPLETE = "complete"


class Channel(Protocol):
    """What a request needs of the connection it came on."""

    transport: asyncio.Transport
    flow: Flow

    def default_headers(self) -> RawHeaders:
        """Return the headers of every answer."""

    def ends_with(self, cycle: "RequestCycle") -> bool:
        """Return whether the connection closes after this request's answer."""

    def on_body_taken(self) -> None:
        """Note that there is room for more of the body."""

    def on_answered(self, cycle: "RequestCycle") -> None:
        """Note that an answer is complete."""

    def on_unanswered(self, cycle: "RequestCycle") -> None:
        """Note that the application ended without completing its answer."""


class RequestCycle:
    """One request and its answer.

    Parameters
    ----------
    scope : of ASGI
    keep_alive : whether the client wants the connection to go on
    expects_continue : whether it waits for a 100 before it sends (RFC 9110, section 10.1.1)

    Attributes
    ----------
    buffered_bytes : of the body that wait for the application
    """

    def __init__(
        self, scope: Scope, channel: Channel, *, keep_alive: bool, expects_continue: bool
    ) -> None:
        self.scope = scope
        self.answer = Answer.AWAITED
        self.keep_alive = keep_alive
        self._channel = channel
        self._expects_continue = expects_continue
        self._lost = False
        self._pieces: list[bytes] = []
        self.buffered_bytes = 0
        self._body_complete = False
        self._body_taken = False
        self._error: RequestError | None = None
        self._changed = asyncio.Event()
        self._chunked = False
        self._bodiless = False
        self._remaining: int | None = None  # bytes of a declared length

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body. None is copied but small ones, which would take more room."""
        if self._pieces and len(self._pieces[-1]) + len(piece) <= _SMALL_BYTES:
            self._pieces[-1] += piece
        else:
            self._pieces.append(piece)
        self.buffered_bytes += len(piece)
        self._changed.set()

    def end_body(self) -> None:
        """Note that the body is whole."""
        self._body_complete = True
        self._changed.set()

    def fail_body(self, error: RequestError) -> None:
        """Let the application answer why the body can't be read on."""
        if self.answer is Answer.AWAITED:
            self._error = error
        self._changed.set()

    def lose(self) -> None:
        """Note that the client is gone."""
        self._lost = True
        self._changed.set()

    def give_up(self) -> None:
        """Note that nothing more comes of the answer."""
        self.answer = Answer.COMPLETE
        self.keep_alive = False
        self._changed.set()

    async def run(self, app: Application) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - a connection outlives what its requests do
            _log.exception("the application failed")
        finally:
            if self.answer is not Answer.COMPLETE and not self._lost:
                self._channel.on_unanswered(self)

    async def receive(self) -> Message:
        """Return the next piece of the body, or that the client is gone or answered."""
        if self._expects_continue and not self._lost and self.answer is Answer.AWAITED:
            self._expects_continue = False
            self._channel.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._lost and self.answer is not Answer.COMPLETE:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._pieces or (self._body_complete and not self._body_taken):
                body = b"".join(self._pieces)  # a single one is not copied
                self._pieces, self.buffered_bytes = [], 0
                self._body_taken = self._body_complete
                self._channel.on_body_taken()
                more = not self._body_complete
                return {"type": "http.request", "body": body, "more_body": more}
            self._changed.clear()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write a part of the answer."""
        if self._channel.flow.write_paused:
            await self._channel.flow.writable()
        if self._lost:
            return
        kind = message["type"]
        if self.answer is Answer.COMPLETE:
            raise RuntimeError(f"{kind!r} was sent after the answer was complete")
        expected = "http.response.start" if self.answer is Answer.AWAITED else "http.response.body"
        if kind != expected:
            raise RuntimeError(f"{expected!r} was to be sent, not {kind!r}")
        if self.answer is Answer.AWAITED:
            self._start(message["status"], message.get("headers", ()))
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        fields = [(name.lower(), value) for name, value in headers]
        if _NOT_IN_NAMES.search(b"".join([name for name, _ in fields])):
            raise RuntimeError("a header's name is invalid")
        if _NOT_IN_VALUES.search(b"".join([value for _, value in fields])):
            raise RuntimeError("a header's value is invalid")
        for name, value in fields:
            if name == b"content-length":
                self._remaining = int(value)
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self._chunked = True
            elif name == b"connection" and b"close" in _tokens(value):
                self.keep_alive = False
        # Whether a body that nobody asked for will come can't be known (RFC 9110, 10.1.1).
        unasked = self._expects_continue and not self._body_complete
        if unasked or self._channel.ends_with(self):
            self.keep_alive = False
        if not self.keep_alive:
            fields = [field for field in fields if field[0] != b"connection"]
            fields.append((b"connection", b"close"))
        self._bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        # HTTP/1.0 knows no chunks: there the end of the connection ends the body.
        framed = self._chunked or self._remaining is not None
        if not framed and not self._bodiless and self.scope["http_version"] != "1.0":
            fields.append((b"transfer-encoding", b"chunked"))
            self._chunked = True
        self._expects_continue = False
        self.answer = Answer.STARTED
        lines = [b"%b: %b\r\n" % field for field in [*self._channel.default_headers(), *fields]]
        self._channel.transport.write(b"".join([STATUS_LINES[status], *lines, b"\r\n"]))

    def _write(self, body: bytes, *, more: bool) -> None:
        write = self._channel.transport.write
        if self._bodiless:
            self._remaining = None
        elif self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            write(piece if more else piece + b"0\r\n\r\n")
        else:
            if self._remaining is not None:
                self._remaining -= len(body)
                if self._remaining < 0:
                    raise RuntimeError("the answer is longer than its content-length")
            write(body)
        if more:
            return
        if self._remaining:
            raise RuntimeError("the answer is shorter than its content-length")
        self.answer = Answer.COMPLETE
        self._changed.set()
        self._channel.on_answered(self)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]
