"""One connection: uvicorn's, with the bounds on slow and endless clients that uvicorn lacks.

uvicorn's timer for idle connections stops at the first byte, and its parser takes heads and
chunked trailers of any length: a client that drips would hold a connection for ever. Bodies are
timed by `app.http.gate`; here are heads, what still comes after an answer, clients that don't
read, and those that send many requests before they read (pipelining).
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, cast

import httptools
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
)
from uvicorn._types import Scope as UvicornScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.errors import HeadTooLarge, Malformed, RequestError, RequestTimeout

RawHeaders = list[tuple[bytes, bytes]]

_REST_S: Final = 5.0
_FIRST_HEAD_S: Final = 1.0
# After a refusal a client may still be sending. To close at once would reset the connection, and
# the client might lose the answer (RFC 9112, section 9.6): so this much is read first.
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 2**18
# Requests that wait for the answer to an earlier one. With more than a few, nothing more is read,
# so it isn't noticed if the client leaves; with the most, that come at once, the connection ends.
_FEW_QUEUED: Final = 16
_MOST_QUEUED: Final = 64


@dataclass(slots=True)
class ConnectionRules:
    """What every connection of a process keeps to.

    Parameters
    ----------
    head_timeout_s : from the connection, or a head's first byte, to the head's end
    max_head_bytes : of the request line and the headers
    write_timeout_s : for a client to take some of an answer
    turn_away : says why a request of this method and path would be refused now, if it would
    refuse : renders the answer to what the application never sees, given the path (empty if there
        is none yet) and the headers: its headers and its body
    draining : answers close their connection
    """

    head_timeout_s: float
    max_head_bytes: int
    write_timeout_s: float
    turn_away: Callable[[bytes, bytes], RequestError | None]
    refuse: Callable[[RequestError, bytes, RawHeaders], tuple[dict[str, str], bytes]]
    draining: bool = False


class _Deaf(Exception):
    """Ends the parsing of a segment, since the connection takes nothing more."""


class _Flow(FlowControl):
    """uvicorn's, which reads on however many requests wait, and while the client doesn't read."""

    def __init__(self, transport: asyncio.Transport, queue: Collection[object]) -> None:
        super().__init__(transport)
        self._queue = queue

    def resume_reading(self) -> None:
        if len(self._queue) <= _FEW_QUEUED and not self.write_paused:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, bounded."""

    def __init__(self, rules: ConnectionRules, **of_uvicorn: Any) -> None:  # noqa: ANN401
        super().__init__(**of_uvicorn)
        self._rules = rules
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._in_trailers = False  # or between a chunk's size and its bytes: these end it
        self._deaf = False  # what else comes is thrown away
        self._turned_away = False
        self._running: RequestResponseCycle | None = None  # `cycle` is the newest, if some wait
        self._last_word: RequestError | None = None  # to be answered after all that is answered
        self._unreadable: RequestError | None = None  # why the newest request's body has no end
        self._head_bytes = 0
        self._lingered_bytes = 0
        self._requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new connection as long for its first head as any other."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._set_timer(self._rules.head_timeout_s, self._give_head_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, forget those that wait, and the timers."""
        self._clear_timer()
        self._clear_write_timer()
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head is endless."""
        if self._deaf:
            if self._answering:
                return  # which is bounded in time
            self._lingered_bytes += len(data)
            if self._lingered_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._in_head or self._in_trailers:
            self._head_bytes += len(data)
            if self._head_bytes > self._rules.max_head_bytes + len(data):
                self._refuse(HeadTooLarge(max_head_bytes=self._rules.max_head_bytes))
                return
        rest = memoryview(data)
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError:
            self._refuse(Malformed())

    def on_message_begin(self) -> None:
        """Count and time the head that begins."""
        if len(self.pipeline) >= _MOST_QUEUED:
            self._deaf = True
            raise _Deaf
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._unset_keepalive_if_required()
        if self._timer is None:
            self._set_timer(self._rules.head_timeout_s, self._give_head_up)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers are dropped: no answer depends on them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, if its head is no longer than allowed."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse(Malformed())
                raise _Deaf
            return  # its head comes again, see `_parse`
        self._in_head = False
        self._clear_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._rules.max_head_bytes:
            self._refuse(HeadTooLarge(max_head_bytes=self._rules.max_head_bytes))
            raise _Deaf
        self._requests += 1
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        if not self._answering and not self.expect_100_continue:
            path = self.url.partition(b"?")[0]
            error = self._rules.turn_away(self.parser.get_method(), path)
            if error is not None:
                self._turn_away(error, path)
                return
        super().on_headers_complete()
        self.flow.resume_reading()
        self._in_body = True
        if self._rules.draining:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Count what comes as trailers, until it turns out to be a chunk's bytes."""
        self._in_trailers, self._head_bytes = True, 0

    def on_body(self, body: bytes) -> None:
        """Hand the body on; what comes after an answer is thrown away."""
        self._in_trailers = False
        if self._turned_away:
            return
        so_far = cast("bytes | bytearray", self.cycle.body)
        if not so_far:
            self.cycle.body = b""  # type: ignore[assignment] # so a first piece isn't copied
        elif isinstance(so_far, bytes):
            self.cycle.body = bytearray(so_far)  # or each later one would copy all before it
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body. uvicorn forgets connections whose answer came before it."""
        if self._in_head:
            return  # see `_parse`
        self._in_body = self._in_trailers = False
        if self._turned_away:
            self._turned_away = False
            if self._rules.draining or not self.parser.should_keep_alive():
                self._deaf = True
                self._clear_timer()
                self._close()
                raise _Deaf
        else:
            super().on_message_complete()
            if not self.cycle.response_complete:
                return
        self._clear_timer()
        self._keep_alive()

    def on_response_complete(self) -> None:
        """Give what is still to come of an answered request a few seconds.

        What comes may be of a later request, which has timers of its own.
        """
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
            return
        if self._deaf and not self._answering:
            self._unset_keepalive_if_required()
            self._say_last_word()
            return
        if self._in_head or self._in_body:
            self._unset_keepalive_if_required()
        if self._in_body and self.cycle.response_complete:
            self._set_timer(_REST_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait only so long for a client that doesn't read."""
        super().pause_writing()
        self.flow.pause_reading()
        self._set_write_timer()

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        if not self.transport.is_closing():
            self._clear_write_timer()
        super().resume_writing()
        self.flow.resume_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close, even if the client hasn't read its answer."""
        self._close()

    def drain(self) -> None:
        """Close the connection after the answer that is being made."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close, but not a connection whose first request may be on its way."""
        if self._turned_away or self._deaf:
            return  # what the client still sends has a timer
        if self._requests == 0 and not self.transport.is_closing():
            self._set_timer(min(_FIRST_HEAD_S, self._rules.head_timeout_s), self._give_head_up)
        elif self._answering:
            self.cycle.keep_alive = False
        else:
            self._close()

    @property
    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle

        async def served(
            scope: UvicornScope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            async def receive_or_fail() -> ASGIReceiveEvent:
                message = await receive()
                error = self._unreadable
                if error is None or cycle is not self.cycle or cycle.response_started:
                    return message
                self._unreadable = None
                raise error

            async def send_or_announce(message: ASGISendEvent) -> None:
                last = self._deaf and cycle is self.cycle and self._last_word is None
                if not last or message["type"] != "http.response.start":
                    await send(message)
                    return
                headers = [*message.get("headers", []), (b"connection", b"close")]
                await send({**message, "headers": headers})
                cycle.keep_alive = True  # or uvicorn would close at once: see `_say_last_word`

            await app(scope, receive_or_fail, send_or_announce)

        super()._start_asgi_task(cycle, served)

    def _parse(self, data: memoryview) -> memoryview:
        """Parse, and return what is still to be parsed.

        A head that asks for another protocol is parsed a second time without that wish, which a
        server may ignore (RFC 9110, section 7.8): httptools takes such a request's body for the
        other protocol's first bytes, and uvicorn for the next request.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            version = self.parser.get_http_version().encode()
            head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
            head += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(b"".join([*head, b"\r\n"]))
            return data[upgrade.args[0] :]
        return data[:0]

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _give_head_up(self) -> None:
        if self._in_head:
            self._refuse(RequestTimeout())
        else:
            self._close()

    def _close(self) -> None:
        """Close, once the client has read what is written, or after a while."""
        self.transport.close()
        self._set_write_timer()

    def _refuse(self, error: RequestError) -> None:
        """Answer without the application, after what is being answered, and end the connection.

        If it is the body of a request that is wrong, the application answers that request.
        """
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._clear_timer()
        if not self._in_body:
            self._last_word = error
        elif not self._turned_away and not self.cycle.response_started:
            self._unreadable = error
            self.cycle.message_event.set()
        if not self._answering:
            self._say_last_word()

    def _say_last_word(self) -> None:
        """Refuse what came last, if it has no answer, and give the client time to read it."""
        self._set_timer(_LINGER_S, self.transport.abort)  # first: it ends what fails below, too
        if self._last_word is not None:
            self._answer(self._last_word, path=b"", headers=[], close=True)
        self.transport.write_eof()

    def _turn_away(self, error: RequestError, path: bytes) -> None:
        """Answer before the body came, which then is thrown away, and go on.

        Cheaper than through the application, or under overload the refusals would take the time
        that Readings need.
        """
        self._set_timer(_REST_S, self.transport.abort)  # first: it ends what fails below, too
        close = self._rules.draining or not self.parser.should_keep_alive()
        self._answer(error, path, self.headers, close=close)
        self._turned_away = self._in_body = True

    def _answer(
        self, error: RequestError, path: bytes, headers: RawHeaders, *, close: bool
    ) -> None:
        fields, body = self._rules.refuse(error, path, headers)
        head = [STATUS_LINE[error.status]]
        head += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        head += [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
        head.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        self.transport.write(b"".join([*head, body]))

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._clear_timer()
        self._timer = self.loop.call_later(seconds, action)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_write_timer(self) -> None:
        self._clear_write_timer()
        self._write_timer = self.loop.call_later(self._rules.write_timeout_s, self.transport.abort)

    def _clear_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
