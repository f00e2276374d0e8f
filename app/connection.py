"""One connection: uvicorn's, with the bounds on slow and endless clients that uvicorn lacks.

uvicorn's timer for idle connections stops at the first byte, and its parser takes heads and
chunked trailers of any length: a client that drips would hold a connection for ever. Bodies are
timed by `app.gate`; here are heads, what still comes after an answer, and clients that don't read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import HeadTooLarge, Malformed, RequestError, RequestTimeout

RawHeaders = list[tuple[bytes, bytes]]

_REST_S: Final = 5.0
_FIRST_HEAD_S: Final = 1.0
# After a refusal a client may still be sending. To close at once would reset the connection, and
# the client might lose the answer (RFC 9112, section 9.6): so this much is read first.
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 2**18


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
        self._refused = False
        self._turned_away = False
        self._head_bytes = 0
        self._lingered_bytes = 0
        self._requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new connection as long for its first head as any other."""
        super().connection_made(transport)
        self._set_timer(self._rules.head_timeout_s, self._give_head_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._clear_timer()
        self._clear_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head is endless."""
        if self._refused:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._in_head or self._in_trailers:
            self._head_bytes += len(data)
            if self._head_bytes > self._rules.max_head_bytes + len(data):
                self._refuse(HeadTooLarge(max_head_bytes=self._rules.max_head_bytes))
                return
        super().data_received(data)
        if self.timeout_keep_alive_task is None and self._idle:
            self._keep_alive()  # an empty line stopped its timer, and began nothing

    def on_message_begin(self) -> None:
        """Count and time the head that begins."""
        super().on_message_begin()
        if self._refused:
            return
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
        if self._refused:
            return
        self._in_head = False
        self._clear_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._rules.max_head_bytes:
            self._refuse(HeadTooLarge(max_head_bytes=self._rules.max_head_bytes))
            return
        self._requests += 1
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.expect_100_continue:
            path = self.url.partition(b"?")[0]
            error = self._rules.turn_away(self.parser.get_method(), path)
            if error is not None:
                self._turn_away(error, path)
                return
        super().on_headers_complete()
        self._in_body = True
        if self._rules.draining:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Count what comes as trailers, until it turns out to be a chunk's bytes."""
        self._in_trailers, self._head_bytes = True, 0

    def on_body(self, body: bytes) -> None:
        """Hand the body on; what comes after an answer is thrown away."""
        self._in_trailers = False
        if self._refused or self._turned_away:
            return
        so_far = cast("bytes | bytearray", self.cycle.body)
        if not so_far:
            self.cycle.body = b""  # type: ignore[assignment] # so a first piece isn't copied
        elif isinstance(so_far, bytes):
            self.cycle.body = bytearray(so_far)  # or each later one would copy all before it
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body. uvicorn forgets connections whose answer came before it."""
        self._in_body = self._in_trailers = False
        if self._refused:
            return
        if self._turned_away:
            self._turned_away = False
            if self._rules.draining or not self.parser.should_keep_alive():
                self._refused = True
                self.transport.close()
                return
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
            return
        if self._in_head or self._in_body:
            self._unset_keepalive_if_required()
        if self._in_body and self.cycle.response_complete:
            self._set_timer(_REST_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait only so long for a client that doesn't read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._rules.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._clear_write_timer()
        super().resume_writing()

    def drain(self) -> None:
        """Close the connection after the answer that is being made."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close, but not a connection whose first request may be on its way."""
        if self._turned_away or self._refused:
            return  # what the client still sends has a timer
        if self._requests == 0 and not self.transport.is_closing():
            self._set_timer(min(_FIRST_HEAD_S, self._rules.head_timeout_s), self._give_head_up)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's, in English
        """Answer what is no HTTP as every other failure is answered."""
        self._refuse(Malformed())

    @property
    def _idle(self) -> bool:
        """Whether a request was answered, and no other has begun."""
        if self._timer is not None or self._in_head or self._in_body or self._refused:
            return False
        return self.cycle is None or self.cycle.response_complete

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _give_head_up(self) -> None:
        if self._in_head:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _refuse(self, error: RequestError) -> None:
        """Answer without the application, and close once the client has had time to read it."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._set_timer(_LINGER_S, self.transport.abort)  # first: it ends what fails below, too
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an answer is under way: a second one would mix with it
            return
        if not self._in_body:  # or it was answered already
            self._answer(error, path=b"", headers=[], close=True)
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

    def _clear_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
