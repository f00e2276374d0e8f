"""One connection: what a client sends becomes requests, and their answers go back in order.

An `asyncio.Protocol` that uvicorn takes as its `http`. Slow and endless
clients are bounded here: heads, what still comes after an answer, clients that don't read, and
those that send many requests before they read (pipelining). Bodies are timed by
`app.http.front.gate`.

An answer that is complete before its request's body has ended must not be lost: to close, or to
leave unread what the client still sends, would reset the connection, and the client might never
see the answer (RFC 9112, section 9.6). So what comes is read and thrown away, for a while.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.server import ServerState

from app.errors import InternalError, RequestError, RequestTimeout
from app.server.connection.connection_rules import ConnectionRules
from app.server.connection.connection_state import NOT_PARSED, TRANSITIONS, State
from app.server.connection.flow import Flow
from app.server.connection.request_cycle import Answer, Application, RequestCycle
from app.server.connection.request_parser import RawHeaders, RequestHead, RequestParser, StopParsing

_LINGER_S: Final = 5.0
_LINGER_BYTES: Final = 64 * 2**20
_LINGER_BYTES_PER_S: Final = 32 * 2**10  # a body that comes on like this gets as long again
# What a stop gives to a first head that is on its way, and to clients that were answered.
_STOP_S: Final = 1.0
# Requests that wait for the answer to an earlier one. With more than a few, nothing more is read,
# so it isn't noticed if the client leaves; with the most, that come at once, the connection ends.
_FEW_QUEUED: Final = 16
_MOST_QUEUED: Final = 64
# Of a body, until the application takes it: to stop and read on costs more than to copy. If the
# application can't take it yet, it is less.
_MOST_BUFFERED_BYTES: Final = 2**20
_MOST_WAITING_BYTES: Final = 2**16


class Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport
    flow: Flow

    def __init__(
        self,
        rules: ConnectionRules,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,  # uvicorn's name
    ) -> None:
        self._rules = rules
        self._config = config
        self._app = cast("Application", config.loaded_app)
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._state = State.NEW
        self._timer: asyncio.TimerHandle | None = None
        self._parser = RequestParser(self, rules.max_head_bytes)
        self._discarded_bytes = self._discarded_before = 0
        self._newest: RequestCycle | None = None
        self._running: RequestCycle | None = None  # the oldest without a complete answer
        self._waiting: deque[RequestCycle] = deque()
        self._turned_away = 0  # of the segment that is parsed
        self._last_error: RequestError | None = None  # answered after all that came before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self.transport = cast("asyncio.Transport", transport)
        self.flow = Flow(self.transport, self._loop, self._rules.write_timeout_s)
        self._context = contextvars.copy_context()
        self._scope: dict[str, Any] = {
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        }
        if certificate := transport.get_extra_info("peercert"):
            self._scope["extensions"] = {"tls": {"client_cert_name": _common_name(certificate)}}
        cast("set[Any]", self._server_state.connections).add(self)
        self._set_timer(self._rules.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the request that is being answered; forget those that wait."""
        self._enter(State.CLOSED)
        cast("set[Any]", self._server_state.connections).discard(self)
        self.flow.resume_writing()
        self._waiting.clear()
        if self._running is not None:
            self._running.lose()
        self._running = self._newest = None  # or they and the parser would hold each other
        self._parser.close()
        self._rules.on_closed()

    def eof_received(self) -> None:
        """Take a client that ends its half for one that leaves."""
        if self._state is not State.CLOSING:
            self._enter(State.CLOSING)

    def pause_writing(self) -> None:
        """Don't read a client that doesn't read."""
        self.flow.pause_writing()
        self._pace()

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self.flow.resume_writing()
        self._pace()

    def data_received(self, data: bytes) -> None:
        """Parse, unless it is to be thrown away or the head is endless."""
        self._turned_away = 0
        if self._state in NOT_PARSED or self._state is State.DISCARDING:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _LINGER_BYTES:
                self.transport.abort()
                return
            if self._state is not State.DISCARDING:
                return
        try:
            self._parser.feed(data)
        except RequestError as error:
            self._refuse(error)

    def on_head_begun(self) -> None:
        """Time the head, unless too many requests wait already."""
        if len(self._waiting) >= _MOST_QUEUED:
            self._enter(State.ENDING)
            raise StopParsing
        self._enter(State.HEAD)

    def on_head(self, head: RequestHead) -> None:
        """Turn the request away, start it, or let it wait for the answers before its own."""
        if self._running is None and not head.expects_continue:
            error = self._rules.turn_away(head.method, head.path)
            if error is not None:
                self._turn_away(error, head)
                return
        scope = head.scope(self._config.root_path)
        scope.update(self._scope)
        scope["state"] = self._app_state.copy()
        cycle = RequestCycle(
            scope, self, keep_alive=head.keep_alive, expects_continue=head.expects_continue
        )
        self._newest = cycle
        self._enter(State.BODY)
        if self._running is None:
            self._run(cycle)
        else:
            self._waiting.append(cycle)
            self._pace()

    def on_body_piece(self, piece: bytes) -> None:
        """Hand a piece of the body on; what comes after an answer is thrown away."""
        if self._state is State.BODY and self._newest is not None:
            self._newest.feed(piece)
            self._pace()

    def on_body_end(self) -> None:
        """Wait for the answer, or for the next request."""
        if self._state is State.BODY and self._newest is not None:
            self._newest.end_body()
            self._enter(State.ANSWERING)
        elif self._state is State.DISCARDING:
            self._enter(State.IDLE)

    def default_headers(self) -> RawHeaders:
        """Return the headers of every answer, such as its date."""
        return self._server_state.default_headers

    def ends_with(self, cycle: RequestCycle) -> bool:
        """Return whether the connection closes after this request's answer."""
        return cycle is self._newest and (
            self._rules.draining or (self._state is State.ENDING and self._last_error is None)
        )

    def on_body_taken(self) -> None:
        """Read on, if that had stopped."""
        self._read_on()

    def on_answered(self, cycle: RequestCycle) -> None:
        """Go on to the next request, or end the connection."""
        self._server_state.total_requests += 1
        self._running = None
        if self._state in (State.CLOSING, State.CLOSED):
            return
        if self.transport.is_closing():
            self._enter(State.CLOSING)
        elif not cycle.keep_alive:
            self._waiting.clear()
            if self._state is State.ANSWERING and cycle is self._newest:
                self._enter(State.CLOSING)  # the client has sent all it had to
            else:
                self._linger()
        elif self._waiting:
            self._run(self._waiting.popleft())
            self._read_on()
        elif self._state is State.ENDING:
            self._linger(self._last_error)
        elif self._state is State.BODY:
            self._enter(State.DISCARDING)
        elif self._state is State.ANSWERING:
            self._enter(State.IDLE)

    def on_unanswered(self, cycle: RequestCycle) -> None:
        """Answer for an application that failed, and end the connection."""
        scope = cycle.scope
        try:
            if cycle.answer is Answer.AWAITED and self._state is not State.CLOSING:
                bodiless = scope["method"] == "HEAD"
                self._write_problem(
                    InternalError(), scope["raw_path"], scope["headers"], bodiless=bodiless
                )
        finally:
            cycle.give_up()
            self.on_answered(cycle)

    def shutdown(self) -> None:
        """Close, but not a connection whose first request may be on its way."""
        if self._state in (State.NEW, State.HEAD, State.DISCARDING, State.LINGERING):
            assert self._timer is not None  # noqa: S101 - each of these has one
            self._set_timer(min(_STOP_S, self._timer.when() - self._loop.time()))
        if self._running is not None and self._newest is not None:
            self._newest.keep_alive = False
        elif self._state is State.IDLE:
            self._enter(State.CLOSING)

    def _enter(self, state: State) -> None:
        """Enter a state: the one way there is. Sets the state's timer."""
        if state not in TRANSITIONS[self._state]:
            raise RuntimeError(f"a connection can't go from {self._state} to {state}")
        timer_goes_on = self._state is State.NEW and state is State.HEAD
        if state is State.DISCARDING:
            self._discarded_bytes = self._discarded_before = 0
        self._state = state
        if not timer_goes_on:
            self._set_timer(self._timeout_s(state))
        if state is State.CLOSING:
            self.transport.close()
        elif state is not State.CLOSED:
            self._read_on()

    def _timeout_s(self, state: State) -> float | None:
        if state is State.BODY or state is State.ANSWERING:
            return None  # the application's time
        if state is State.IDLE:
            return self._config.timeout_keep_alive
        if state is State.HEAD:
            return self._rules.head_timeout_s
        if state is State.DISCARDING or state is State.LINGERING:
            return _LINGER_S
        if state is State.CLOSING:
            return self._rules.write_timeout_s
        return None

    def _on_timeout(self) -> None:
        if self._state is State.HEAD:
            self._refuse(RequestTimeout())
        elif self._state in (State.NEW, State.IDLE):
            self._enter(State.CLOSING)
        elif self._state in (State.DISCARDING, State.LINGERING) and self._comes_steadily():
            self._set_timer(_LINGER_S)
        else:
            self.transport.abort()

    def _comes_steadily(self) -> bool:
        """Whether what is thrown away came on quickly since this was last asked."""
        came = self._discarded_bytes - self._discarded_before
        self._discarded_before = self._discarded_bytes
        return came >= _LINGER_BYTES_PER_S * _LINGER_S and not self._rules.draining

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._on_timeout)

    def _pace(self) -> None:
        """Read only as fast as requests are taken and answers are read."""
        most = _MOST_BUFFERED_BYTES if self._newest is self._running else _MOST_WAITING_BYTES
        full = (
            self._state is State.BODY
            and self._newest is not None
            and self._newest.buffered_bytes > most
        )
        queued = len(self._waiting) > _FEW_QUEUED
        self.flow.read(wanted=not (full or queued or self.flow.write_paused))

    def _read_on(self) -> None:
        if not self.flow.reading:
            self._pace()

    def _run(self, cycle: RequestCycle) -> None:
        """Let the application answer, in a context that no other request has touched."""
        self._running = cycle
        task = self._loop.create_task(cycle.run(self._app), context=self._context.copy())
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def _refuse(self, error: RequestError) -> None:
        """Answer without the application, after what is being answered, and end the connection.

        If it is the body of a request that is wrong, the application answers that request.
        """
        if self._state in NOT_PARSED:
            return
        if self._state is State.BODY and self._newest is not None:
            self._enter(State.ENDING)
            self._newest.fail_body(error)
        elif self._state is State.DISCARDING:
            self._linger()
        elif self._running is not None:
            self._last_error = error
            self._enter(State.ENDING)
        else:
            self._linger(error)

    def _turn_away(self, error: RequestError, head: RequestHead) -> None:
        """Answer before the body came, and go on after it.

        Cheaper than through the application, or under overload the refusals would take the time
        that Readings need.
        """
        self._turned_away += 1
        too_many = self._turned_away > _FEW_QUEUED or self.flow.write_paused
        if self._rules.draining or not head.keep_alive or too_many:
            self._linger(error, head.path, head.headers)
            raise StopParsing
        self._enter(State.DISCARDING)
        self._write_problem(error, head.path, head.headers, close=False)

    def _linger(
        self,
        error: RequestError | None = None,
        path: bytes = b"",
        headers: RawHeaders | None = None,
    ) -> None:
        """Refuse what came last, if it has no answer, and give the client time to read it."""
        self._enter(State.LINGERING)  # first: its timer ends what fails below, too
        if error is not None:
            self._write_problem(error, path, headers or [])
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _write_problem(
        self,
        error: RequestError,
        path: bytes,
        headers: RawHeaders,
        *,
        close: bool = True,
        bodiless: bool = False,
    ) -> None:
        answer = self._rules.problem(error, path, headers, self.default_headers(), close=close)
        self.transport.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if bodiless else answer)


def _common_name(certificate: Mapping[str, Any]) -> str | None:
    """Return under which name a client certificate that was verified knows its holder."""
    fields = [field for group in certificate.get("subject", ()) for field in group]
    names = [str(value) for name, value in fields if name == "commonName"]
    return names[0] if names and names[0].isprintable() else None


def _address(name: object) -> tuple[str, int] | None:
    """Return host and port of a socket's name; None of what has no such."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
