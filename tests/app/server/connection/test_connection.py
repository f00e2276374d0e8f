"""The connection, on a transport that only notes what is done to it: bounds, refusals, timers."""

import asyncio
import contextlib
import gc
import itertools
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from app.errors import Overloaded, RequestError
from app.server.connection import connection
from app.server.connection.connection import Connection
from app.server.connection.connection_rules import ConnectionRules
from app.server.connection.connection_state import State
from app.server.connection.request_parser import RawHeaders

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEAD_BYTES = 1000
KEEP_ALIVE_S = 0.1
LINGER_S = 0.1
WRITE_S = 0.1
SLOW_S = 0.4
"""Longer than all of these."""

CHUNKED = b"POST /read HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_HEAD = b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n"
LARGE_BYTES = 10_000
GET = b"GET /next HTTP/1.1\r\n\r\n"
SLOW_GET = b"GET /slow HTTP/1.1\r\n\r\n"


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LINGER_S", LINGER_S)


class Transport(asyncio.Transport):
    """Keeps what is written until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = self.ended = self.paused = False
        self.unsent_bytes = 100

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def render(error: RequestError, path: bytes, headers: RawHeaders) -> tuple[dict[str, str], bytes]:  # noqa: ARG001
    return {"content-length": "0", "x-code": error.code}, b""


def fail(*_: object) -> tuple[dict[str, str], bytes]:
    raise ValueError("a refusal that can't be rendered")


def let_in(method: bytes, path: bytes) -> None:  # noqa: ARG001
    return None


def turn_away_posts(method: bytes, path: bytes) -> RequestError | None:  # noqa: ARG001
    return Overloaded(retry_after_s=1) if method == b"POST" else None


class Bench:
    """One connection to an application that tells by a request's path what to do with it."""

    def __init__(
        self,
        turn_away: Callable[[bytes, bytes], RequestError | None],
        refuse: Callable[[RequestError, bytes, RawHeaders], tuple[dict[str, str], bytes]],
        app: Application | None = None,
    ) -> None:
        self.calls: list[Scope] = []
        self.bodies: list[bytes] = []
        self.waiting = self.left = False
        self.transport = Transport()
        self.rules = ConnectionRules(10.0, MAX_HEAD_BYTES, WRITE_S, turn_away, refuse)
        config = uvicorn.Config(
            app or self._app,
            interface="asgi3",
            ws="none",
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_S,  # type: ignore[arg-type] # shorter than uvicorn's
        )
        config.load()
        self.state = ServerState()
        self.connection = Connection(
            self.rules,
            config=config,
            server_state=self.state,
            app_state={},
        )
        self.connection.connection_made(self.transport)

    @property
    def statuses(self) -> list[int]:
        return [int(answer[:3]) for answer in self.transport.written.split(b"HTTP/1.1 ")[1:]]

    async def send(self, *segments: bytes) -> None:
        """Let the segments come one after the other, and the application do what it can."""
        for segment in segments:
            if not self.transport.closed:
                self.connection.data_received(segment)
                await asyncio.sleep(0.01)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append(scope)
        status, answer = 200, b"x" * LARGE_BYTES if scope["path"] == "/large" else b""
        try:
            if scope["path"] == "/read":
                self.bodies.append(await self._read(receive))
        except RequestError as error:
            status = error.status
        if scope["path"] == "/slow":
            await asyncio.sleep(SLOW_S)
        if scope["path"] == "/wait":
            await receive()
            self.waiting = True
            self.left = (await receive())["type"] == "http.disconnect"
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _read(self, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body


@asynccontextmanager
async def bench(
    turn_away: Callable[[bytes, bytes], RequestError | None] = let_in,
    refuse: Callable[[RequestError, bytes, RawHeaders], tuple[dict[str, str], bytes]] = render,
    app: Application | None = None,
) -> AsyncIterator[Bench]:
    made = Bench(turn_away, refuse, app)
    yield made
    if made.connection in made.state.connections:
        made.connection.connection_lost(None)
    await asyncio.sleep(0.01)


def state_of(it: Bench) -> State:
    return it.connection._state


async def test_trailers_do_not_become_headers() -> None:
    async with bench() as it:
        await it.send(CHUNKED + b"1\r\nx\r\n0\r\nX-Late: 1\r\nExpect: 100-continue\r\n\r\n" + GET)
        assert it.statuses == [200, 200]
        assert [list(call["headers"]) for call in it.calls] == [
            [(b"transfer-encoding", b"chunked")], []
        ]  # fmt: skip


@pytest.mark.alone  # a connection lingers for a moment only
@pytest.mark.parametrize("trailers", [b"X: aaaaaa\r\n" * 50, b"a" * 550], ids=["many", "one"])
@pytest.mark.parametrize("turn_away", [let_in, turn_away_posts], ids=["read", "turned-away"])
async def test_endless_trailers_end_the_connection(
    trailers: bytes, turn_away: Callable[[bytes, bytes], RequestError | None]
) -> None:
    async with bench(turn_away) as it:
        await it.send(CHUNKED + b"1\r\nx\r\n0\r\nX: ", trailers)
        assert not it.transport.closed
        await it.send(trailers, trailers)
        assert it.transport.closed or it.transport.ended
        assert it.statuses == ([503] if turn_away is turn_away_posts else [431])
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_the_bytes_of_a_chunk_are_no_trailers() -> None:
    async with bench() as it:
        segments = [b"2000\r\n", *[b"x" * 0x800] * 4, b"\r\n"]
        await it.send(CHUNKED, *segments, *segments, b"0\r\n\r\n")
        assert it.statuses == [200]
        assert it.bodies == [b"x" * 0x4000]


async def test_a_piece_of_a_body_costs_the_same_however_many_came_before() -> None:
    async with bench() as it:

        def microseconds(chunks: int) -> float:
            it.connection.data_received(CHUNKED)
            segment = b"1\r\nx\r\n" * chunks
            begun_s = time.process_time()
            it.connection.data_received(segment)
            return (time.process_time() - begun_s) / chunks * 1e6

        few = microseconds(5_000)
        await it.send(b"0\r\n\r\n")
        many = microseconds(400_000)
        await it.send(b"0\r\n\r\n")
        assert it.bodies == [b"x" * 5_000, b"x" * 400_000]
        assert many < 4 * few + 1


@pytest.mark.parametrize(
    ("refused", "status"),
    [(LONG_HEAD, 431), (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 503)],
    ids=["head-too-large", "turned-away"],
)
async def test_what_follows_a_refusal_in_its_segment_is_not_started(
    refused: bytes, status: int
) -> None:
    async with bench(turn_away_posts) as it:
        it.rules.draining = True  # or the connection of one turned away would go on
        await it.send(refused + GET + GET)
        assert it.calls == []
        assert it.statuses == [status]
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_what_follows_one_turned_away_is_answered() -> None:
    async with bench(turn_away_posts) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" + GET)
        assert it.statuses == [503, 200]


@pytest.mark.parametrize("refused", [LONG_HEAD, CHUNKED], ids=["head-too-large", "turned-away"])
async def test_a_refusal_that_fails_ends_its_connection(refused: bytes) -> None:
    async with bench(turn_away_posts, fail) as it:
        with contextlib.suppress(ValueError):
            await it.send(refused)
        it.connection.shutdown()
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.aborted


async def test_the_answer_to_one_request_does_not_time_the_body_of_the_next() -> None:
    async with bench() as it:
        await it.send(GET + b"POST /read HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
        for piece in (b"a", b"b", b"c"):
            await asyncio.sleep(LINGER_S)
            await it.send(piece)
        assert it.bodies == [b"abc"]
        assert it.statuses == [200, 200]
        assert not it.transport.closed


async def test_the_answer_to_one_request_does_not_time_the_answer_to_the_next() -> None:
    async with bench() as it:
        await it.send(GET + b"POST /slow HTTP/1.1\r\nContent-Length: 1\r\n\r\n")
        await it.send(b"x")
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200, 200]


async def test_the_answer_to_one_request_does_not_time_the_head_of_the_next() -> None:
    async with bench() as it:
        await it.send(GET + b"GET /next HT")
        await asyncio.sleep(2 * KEEP_ALIVE_S)
        await it.send(b"TP/1.1\r\n\r\n")
        assert it.statuses == [200, 200]


@pytest.mark.parametrize("turn_away", [let_in, turn_away_posts], ids=["answered", "turned-away"])
async def test_a_body_that_ends_after_its_answer_does_not_time_the_next_request(
    turn_away: Callable[[bytes, bytes], RequestError | None],
) -> None:
    async with bench(turn_away) as it:
        await it.send(b"POST /next HTTP/1.1\r\nContent-Length: 1\r\n\r\n")
        assert len(it.statuses) == 1
        await it.send(b"xGET /slow HTTP/1.1\r\n\r\n")
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses[1:] == [200]


async def test_a_body_that_does_not_end_after_its_answer_is_cut_off() -> None:
    async with bench() as it:
        await it.send(b"POST /next HTTP/1.1\r\nContent-Length: 1000\r\n\r\n", b"x")
        assert it.statuses == [200]
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.aborted


async def test_an_empty_line_does_not_keep_an_idle_connection_open() -> None:
    async with bench() as it:
        await it.send(GET, b"\r\n")
        await asyncio.sleep(2 * KEEP_ALIVE_S)
        assert it.transport.closed


async def test_empty_lines_do_not_keep_an_idle_connection_open() -> None:
    async with bench() as it:
        await it.send(GET)
        for _ in range(6):
            await it.send(b"\r\n")
            await asyncio.sleep(KEEP_ALIVE_S / 2)
        assert it.transport.closed


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nX-Kept: 1\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: %d\r\n\r\n%b" % (len(GET), GET),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GET), GET),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("piece_bytes", [1000, 7], ids=["at-once", "in-pieces"])
async def test_a_wish_for_another_protocol_is_ignored(body: bytes, piece_bytes: int) -> None:
    request = b"POST /read?a=1 HTTP/1.1\r\n" + UPGRADE + body
    stream = request + request + GET
    async with bench() as it:
        await it.send(*[stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)])
        assert [call["path"] for call in it.calls] == ["/read", "/read", "/next"]
        assert it.bodies == [GET, GET]  # and no request of its own
        assert it.calls[0]["query_string"] == b"a=1"
        assert (b"x-kept", b"1") in it.calls[0]["headers"]
        assert it.statuses == [200, 200, 200]


async def test_a_proxy_is_refused() -> None:
    async with bench() as it:
        await it.send(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n" + GET)
        assert it.calls == []
        assert it.statuses == [400]


async def test_a_client_that_sends_far_ahead_is_not_read_until_it_is_answered() -> None:
    async with bench() as it:
        await it.send(SLOW_GET + GET * 17)
        assert it.transport.paused
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200] * 18
        assert not it.transport.paused


async def test_one_answer_of_many_does_not_let_more_requests_in() -> None:
    async with bench() as it:
        await it.send(GET + SLOW_GET + GET * 18)
        assert it.statuses == [200]
        assert it.transport.paused


async def test_a_client_that_sends_a_little_ahead_is_read_so_that_it_is_seen_to_leave() -> None:
    async with bench() as it:
        await it.send(SLOW_GET + GET * 16)
        assert not it.transport.paused


async def test_more_requests_at_once_than_may_wait_end_the_connection() -> None:
    async with bench() as it:
        await it.send(SLOW_GET + GET * 1000)
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200] * 65  # the one answered at once, and the 64 that may wait
        assert it.transport.written.count(b"connection: close") == 1
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_the_request_being_answered_hears_that_a_client_left_which_sent_ahead() -> None:
    async with bench() as it:
        await it.send(b"GET /wait HTTP/1.1\r\n\r\n" + GET)
        assert it.waiting
        it.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        assert it.left
        assert len(it.calls) == 1  # the one that waited is forgotten


@pytest.mark.parametrize(
    ("wrong", "status"),
    [(b"\0\r\n\r\n", 400), (b"GARBAGE\r\n\r\n", 400), (LONG_HEAD, 431)],
    ids=["binary", "garbage", "head-too-large"],
)
async def test_what_is_wrong_after_a_request_does_not_cost_its_answer(
    wrong: bytes, status: int
) -> None:
    async with bench() as it:
        await it.send(SLOW_GET + GET + wrong + GET)
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200, 200, status]
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_a_head_that_drips_after_a_request_does_not_cost_its_answer() -> None:
    async with bench() as it:
        it.rules.head_timeout_s = SLOW_S / 4
        await it.send(SLOW_GET + b"GET /ne")
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200, 408]
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


@pytest.mark.parametrize("before", [b"", SLOW_GET], ids=["alone", "waiting"])
@pytest.mark.parametrize(
    "request_segments",
    [
        [CHUNKED + b"ZZ\r\nabc\r\n"],
        [CHUNKED + b"1\r\nx\r\n", b"ZZ\r\n"],
        [CHUNKED.replace(b"chunked", b"xchunked") + b"0\r\n\r\n"],
    ],
    ids=["at-once", "later", "unknown-coding"],
)
async def test_a_body_that_is_malformed_is_answered(
    before: bytes, request_segments: list[bytes]
) -> None:
    async with bench() as it:
        await it.send(before + request_segments[0], *request_segments[1:], GET)
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [*([200] if before else []), 400]
        assert it.bodies == []
        assert b"connection: close" in it.transport.written
        assert it.transport.ended  # but not closed: the client may still be sending
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_a_client_that_does_not_read_the_end_of_its_last_answer_is_cut_off() -> None:
    async with bench() as it:
        await it.send(b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert it.transport.closed  # as asked; a real one waits for the client to read
        assert not it.transport.aborted
        await asyncio.sleep(2 * WRITE_S)
        assert it.transport.aborted


async def test_a_client_that_stays_and_does_not_read_is_cut_off() -> None:
    async with bench() as it:
        await it.send(b"GET /large HTTP/1.1\r\n\r\n")
        await asyncio.sleep(KEEP_ALIVE_S + 2 * WRITE_S)
        assert it.transport.aborted


async def test_a_client_that_does_not_read_is_cut_off_while_it_is_being_answered() -> None:
    async with bench() as it:
        await it.send(SLOW_GET)
        it.connection.pause_writing()
        await asyncio.sleep(2 * WRITE_S)
        assert it.transport.aborted


async def test_a_client_that_reads_again_is_not_cut_off() -> None:
    async with bench() as it:
        await it.send(SLOW_GET)
        it.connection.pause_writing()
        it.connection.resume_writing()
        await asyncio.sleep(2 * WRITE_S)
        assert not it.transport.closed


async def test_a_client_that_reads_slowly_but_steadily_is_not_cut_off() -> None:
    async with bench() as it:
        await it.send(SLOW_GET)
        it.connection.pause_writing()
        for left in (80, 60, 40):
            it.transport.unsent_bytes = left
            await asyncio.sleep(WRITE_S)
            assert not it.transport.aborted
        await asyncio.sleep(2 * WRITE_S)  # it takes no more
        assert it.transport.aborted


async def test_a_client_that_leaves_while_an_answer_waits_for_room_leaves_nothing() -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        it.connection.pause_writing()
        await send({"type": "http.response.body", "body": b"y"})

    async with bench(app=answer) as it:
        await it.send(GET)
        assert len(it.state.tasks) == 1
        it.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        assert it.state.tasks == set()


@pytest.mark.alone  # a connection lingers for a moment only
@pytest.mark.parametrize("piece", [b"x" * 10_000, b"x"], ids=["steadily", "dripping"])
async def test_a_body_that_was_turned_away_is_read_on_while_it_comes_steadily(piece: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n"
    async with bench(turn_away_posts) as it:
        await it.send(head)
        for _ in range(4):
            await it.send(piece)
            await asyncio.sleep(LINGER_S)
        assert it.statuses == [503]
        assert it.transport.aborted == (piece == b"x")


async def test_many_requests_at_once_that_are_turned_away_are_not_all_answered() -> None:
    async with bench(turn_away_posts) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 1000)
        assert it.statuses == [503] * 17
        assert state_of(it) is State.LINGERING


@pytest.mark.parametrize("wish", [b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n"])
async def test_headers_are_bounded_in_number(wish: bytes) -> None:
    async with bench() as it:
        await it.send(b"GET / HTTP/1.1\r\n" + wish + b"a:\r\n" * 190 + b"\r\n")
        await it.send(b"GET / HTTP/1.1\r\n" + wish + b"a:\r\n" * 201 + b"\r\n")
        assert it.statuses == [200, 431]


async def test_a_client_that_does_not_read_is_not_read() -> None:
    async with bench(turn_away_posts) as it:
        it.connection.pause_writing()
        assert it.transport.paused
        it.connection.resume_writing()
        assert not it.transport.paused


async def test_http_1_0_knows_no_expectation() -> None:
    async with bench() as it:
        head = b"POST /read HTTP/1.%d\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        await it.send(head % 1, b"x")
        assert it.statuses == [100, 200]
        await it.send(head % 0, b"x")
        assert it.statuses == [100, 200, 200]


EARLY = b"POST /next HTTP/1.1\r\nContent-Length: 100\r\n%b\r\n"
"""A request that is answered before its body has ended."""


@pytest.mark.alone  # a connection lingers for a moment only
@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["draining", "asked"])
async def test_an_early_answer_that_closes_is_followed_by_our_half_alone(header: bytes) -> None:
    async with bench() as it:
        it.rules.draining = not header
        await it.send(EARLY % header)
        assert it.statuses == [200]
        assert b"connection: close" in it.transport.written
        assert it.transport.ended  # the client sees that this is all
        assert not it.transport.closed  # but isn't reset while it sends
        await it.send(b"x" * 100, GET)
        assert it.statuses == [200]  # what comes is thrown away
        assert not it.transport.closed
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.aborted


async def test_a_client_that_ends_its_half_after_an_early_answer_ends_the_connection() -> None:
    async with bench() as it:
        await it.send(EARLY % b"Connection: close\r\n")
        it.connection.eof_received()
        assert it.transport.closed
        assert not it.transport.aborted


async def test_an_early_answer_that_keeps_the_connection_waits_for_the_body() -> None:
    async with bench() as it:
        await it.send(EARLY % b"", b"x" * 99)
        assert state_of(it) is State.DISCARDING
        assert not it.transport.ended
        await it.send(b"x" + GET)
        assert it.statuses == [200, 200]
        assert state_of(it) is State.IDLE


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["goes-on", "closes"])
async def test_what_comes_after_an_early_answer_is_bounded_by_its_size(
    header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LINGER_BYTES", 1000)
    async with bench() as it:
        await it.send((EARLY % header).replace(b"100", b"5000"), b"x" * 1000)
        assert not it.transport.closed
        await it.send(b"x")
        assert it.transport.aborted


async def test_each_early_answer_has_its_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LINGER_BYTES", 150)
    async with bench() as it:
        for _ in range(5):
            await it.send(EARLY % b"", b"x" * 100)
        assert it.statuses == [200] * 5


async def test_an_answer_that_waits_for_its_body_is_not_cut_by_the_time_of_an_early_one() -> None:
    async with bench() as it:
        await it.send(b"POST /slow HTTP/1.1\r\nContent-Length: 1\r\n\r\n")
        await asyncio.sleep(2 * LINGER_S)
        assert not it.transport.closed


async def test_a_body_that_nobody_asked_for_ends_the_connection() -> None:
    """Whether it will come can't be known (RFC 9110, section 10.1.1)."""
    async with bench() as it:
        await it.send(EARLY % b"Expect: 100-continue\r\n")
        assert it.statuses == [200]  # and no 100
        assert b"connection: close" in it.transport.written
        assert it.transport.ended


async def test_a_body_that_came_unasked_does_not_end_the_connection() -> None:
    async with bench() as it:
        await it.send(EARLY % b"Expect: 100-continue\r\n" + b"x" * 100 + GET)
        assert it.statuses == [200, 200]
        assert b"connection: close" not in it.transport.written


async def test_a_close_that_was_asked_for_closes_at_once() -> None:
    async with bench() as it:
        await it.send(b"GET /next HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert it.transport.closed
        assert not it.transport.ended


def answering(*messages: Message) -> Application:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, **headers: bytes) -> Message:
    raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def test_an_answer_without_a_length_comes_in_chunks() -> None:
    messages = [start(), body(b"abc", more=True), body(b"", more=True), body(b"0123456789abcdef")]
    async with bench(app=answering(*messages)) as it:
        await it.send(GET)
        assert it.transport.written == (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        )
        assert state_of(it) is State.IDLE


async def test_http_1_0_gets_no_chunks() -> None:
    async with bench(app=answering(start(), body(b"abc"))) as it:
        await it.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert it.transport.written == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"
        assert it.transport.closed


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [(b"HEAD", 200, {"content_length": b"3"}), (b"GET", 304, {"content_length": b"3"})],
    ids=["head", "not-modified"],
)
async def test_an_answer_that_has_no_body_keeps_its_length(
    method: bytes, status: int, headers: dict[str, bytes]
) -> None:
    async with bench(app=answering(start(status, **headers), body(b"abc"))) as it:
        await it.send(method + b" / HTTP/1.1\r\n\r\n")
        assert it.statuses == [status]
        assert it.transport.written.endswith(b"\r\ncontent-length: 3\r\n\r\n")
        assert state_of(it) is State.IDLE


async def test_the_headers_of_every_answer_come_first() -> None:
    async with bench() as it:
        it.state.default_headers = [(b"date", b"today")]
        await it.send(GET + LONG_HEAD)
        assert it.transport.written.count(b" OK\r\ndate: today\r\n") == 1
        assert it.transport.written.count(b"Too Large\r\ndate: today\r\n") == 1


FAILURES: dict[str, list[Message]] = {
    "nothing": [],
    "body-first": [body(b"")],
    "name": [start(**{"bad name": b"secret"})],
    "value": [start(x=b"secret\r\nset-cookie: a")],
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_application_that_does_not_answer_well_is_answered_for(failure: str) -> None:
    async with bench(app=answering(*FAILURES[failure])) as it:
        await it.send(GET)
        assert it.transport.written == (
            b"HTTP/1.1 500 Internal Server Error\r\n"
            b"content-length: 0\r\nx-code: internal_error\r\nconnection: close\r\n\r\n"
        )
        assert it.transport.closed


BROKEN: dict[str, list[Message]] = {
    "too-long": [start(content_length=b"1"), body(b"ab")],
    "too-short": [start(content_length=b"2"), body(b"a")],
    "no-end": [start(), body(b"a", more=True)],
    "second-start": [start(), start()],
}


@pytest.mark.parametrize("failure", BROKEN)
async def test_an_answer_that_breaks_off_ends_its_connection(failure: str) -> None:
    async with bench(app=answering(*BROKEN[failure])) as it:
        await it.send(GET + GET)
        assert it.statuses == [200]
        assert it.transport.closed or it.transport.ended


async def test_no_more_is_sent_than_was_announced() -> None:
    async with bench(app=answering(*BROKEN["too-long"])) as it:
        await it.send(GET)
        assert it.transport.written.endswith(b"content-length: 1\r\n\r\n")


async def test_an_application_that_fails_while_refusals_fail_too_ends_its_connection() -> None:
    failures: list[BaseException] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    try:
        async with bench(refuse=fail, app=answering()) as it:
            await it.send(GET)
            assert it.transport.closed
            gc.collect()
    finally:
        loop.set_exception_handler(handler)
    assert [type(failure) for failure in failures] == [ValueError]


async def test_a_connection_that_ended_leaves_nothing_to_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with bench() as it:
            await it.send(GET + GET, EARLY % b"", b"x" * 100, SLOW_GET)
            ended = weakref.ref(it.connection)
            it.connection.connection_lost(None)
            await asyncio.sleep(SLOW_S + 0.1)
            del it.connection
            assert ended() is None
            it.connection = None  # type: ignore[assignment]
    finally:
        gc.enable()


async def test_no_failure_is_quoted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        raise ValueError("a patient's name")

    async with bench(app=app) as it:
        await it.send(GET)
        assert it.statuses == [500]
        assert b"patient" not in it.transport.written


async def test_an_application_is_told_of_what_it_does_wrong() -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        for message in (body(b""), start(content_length=b"0"), start(), body(b""), body(b"")):
            try:
                await send(message)
            except RuntimeError as error:
                told.append(str(error))

    async with bench(app=app) as it:
        await it.send(GET)
        assert told == [
            "'http.response.start' was to be sent, not 'http.response.body'",
            "'http.response.body' was to be sent, not 'http.response.start'",
            "'http.response.body' was sent after the answer was complete",
        ]
        assert it.statuses == [200]


async def test_a_task_that_a_stop_cancels_is_answered_for() -> None:
    async with bench() as it:
        await it.send(SLOW_GET)
        (task,) = it.state.tasks
        task.cancel()
        await asyncio.sleep(0.01)
        assert it.statuses == [500]
        assert it.state.tasks == set()


async def test_what_is_received_is_the_body_then_that_the_client_left() -> None:
    received: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        while not received or received[-1]["type"] != "http.disconnect":
            received.append(await receive())

    async with bench(app=app) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", b"a", b"bc")
        assert received == [
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.request", "body": b"bc", "more_body": False},
        ]
        it.connection.eof_received()
        it.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        assert received[2:] == [{"type": "http.disconnect"}]
        assert it.statuses == []


async def test_the_scope_of_a_request() -> None:
    async with bench() as it:
        await it.send(b"GET http://x/a%20b?c=%20 HTTP/1.1\r\nHost: x\r\n\r\nGET * HTTP/1.0\r\n\r\n")
        assert it.calls[0] == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "root_path": "",
            "path": "/a b",
            "raw_path": b"/a%20b",
            "query_string": b"c=%20",
            "headers": [(b"host", b"x")],
            "state": {},
            "server": None,
            "client": None,
        }


async def test_requests_of_a_connection_share_no_context() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="untouched")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        seen.append(variable.get())
        variable.set("touched")
        await send(start(content_length=b"0"))
        await send(body(b""))

    async with bench(app=app) as it:
        await it.send(GET + GET, GET)
        assert seen == ["untouched"] * 3


async def test_a_large_body_is_read_as_fast_as_it_is_taken() -> None:
    taken = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await taken.wait()
        await receive()
        await asyncio.sleep(SLOW_S)

    async with bench(app=app) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n", b"x" * 2**20)
        assert not it.transport.paused
        await it.send(b"x")
        assert it.transport.paused
        taken.set()
        await asyncio.sleep(0.01)
        assert not it.transport.paused


async def test_of_a_body_whose_turn_has_not_come_less_is_read() -> None:
    async with bench() as it:
        await it.send(SLOW_GET, b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n")
        await it.send(b"x" * 65536)
        assert not it.transport.paused
        await it.send(b"x")
        assert it.transport.paused


@pytest.mark.parametrize(
    "cuts", [[], [1], [60], [70], [47, 48, 200], [49, 348, 349], [350], [349, 351]]
)
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n", b"Upgrade: h2c\r\n"])
async def test_a_body_ends_where_its_length_says(cuts: list[int], more: bytes) -> None:
    content = bytes(range(256)) + b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
    head = b"POST /whole HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (more, len(content))
    sent = head + content + GET
    bodies: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        taken, more_comes = b"", True
        while more_comes:
            message = await receive()
            taken += message.get("body", b"")
            more_comes = message.get("more_body", False)
        bodies.append(scope["path"].encode() + taken)
        await send(start(content_length=b"0"))
        await send(body(b""))

    async with bench(app=app) as it:
        await it.send(*(sent[at:to] for at, to in itertools.pairwise([0, *cuts, len(sent)])))
        closes = more.startswith(b"Connection")
        assert bodies == [b"/whole" + content, *([] if closes else [b"/next"])]


async def test_many_small_pieces_of_a_body_take_little_room() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await asyncio.sleep(SLOW_S)

    async with bench(app=app) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(50_000):
            it.connection.data_received(b"x")
        cycle = it.connection._running
        assert cycle is not None
        assert cycle.buffered_bytes == 50_000
        assert len(cycle._pieces) <= 2 * 50_000 // 4096 + 1


async def test_the_first_piece_of_a_body_is_not_copied() -> None:
    pieces: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        pieces.append((await receive())["body"])
        await send(start(content_length=b"0"))
        await send(body(b""))

    piece = b"x" * 10_000
    async with bench(app=app) as it:
        await it.send(b"POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n")
        it.connection.on_body_piece(piece)
        await asyncio.sleep(0.01)
        assert pieces[0] is piece


async def test_answers_are_counted_and_connections_kept_account_of() -> None:
    closed: list[int] = []
    async with bench() as it:
        it.rules.on_closed = lambda: closed.append(1)
        assert it.state.connections == {it.connection}
        await it.send(GET + GET)
        assert it.state.total_requests == 2
        assert closed == []
    assert it.state.connections == set()
    assert closed == [1]


async def test_a_stop_closes_an_idle_connection_at_once() -> None:
    async with bench() as it:
        await it.send(GET)
        it.connection.shutdown()
        assert it.transport.closed


async def test_a_stop_lets_an_answer_be_made_and_then_closes() -> None:
    async with bench() as it:
        await it.send(SLOW_GET + GET)
        it.connection.shutdown()
        await asyncio.sleep(SLOW_S + 0.1)
        assert it.statuses == [200, 200]
        assert it.transport.written.count(b"connection: close") == 1
        assert it.transport.closed


@pytest.mark.parametrize("sent", [b"", b"GET / HT"], ids=["nothing", "half-a-head"])
async def test_a_stop_gives_a_first_head_a_moment(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_STOP_S", 0.2)
    async with bench() as it:
        it.rules.draining = True
        await it.send(sent)
        it.connection.shutdown()
        await it.send(GET.removeprefix(sent) if not sent else b"TP/1.1\r\n\r\n")
        assert it.statuses == [200]
        assert it.transport.closed
    async with bench() as it:
        await it.send(sent)
        it.connection.shutdown()
        assert not it.transport.closed
        await asyncio.sleep(0.4)
        assert it.statuses == ([408] if sent else [])


async def test_a_stop_shortens_what_a_client_that_was_answered_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_STOP_S", LINGER_S / 4)
    async with bench() as it:
        await it.send(EARLY % b"")
        it.connection.shutdown()
        await asyncio.sleep(LINGER_S / 2)
        assert it.transport.aborted
