"""The connection, on a transport that only notes what is done to it: bounds, refusals, timers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.errors import Overloaded, RequestError
from app.server import connection
from app.server.connection import Connection, ConnectionRules, RawHeaders

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

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data

    def write_eof(self) -> None:
        self.ended = True

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
    ) -> None:
        self.calls: list[Scope] = []
        self.bodies: list[bytes] = []
        self.waiting = self.left = False
        self.transport = Transport()
        self.rules = ConnectionRules(10.0, MAX_HEAD_BYTES, WRITE_S, turn_away, refuse)
        config = uvicorn.Config(
            self._app,
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
) -> AsyncIterator[Bench]:
    made = Bench(turn_away, refuse)
    yield made
    if made.connection in made.state.connections:
        made.connection.connection_lost(None)
    await asyncio.sleep(0.01)


async def test_trailers_do_not_become_headers() -> None:
    async with bench() as it:
        await it.send(CHUNKED + b"1\r\nx\r\n0\r\nX-Late: 1\r\nExpect: 100-continue\r\n\r\n" + GET)
        assert it.statuses == [200, 200]
        assert [list(call["headers"]) for call in it.calls] == [
            [(b"transfer-encoding", b"chunked")], []
        ]  # fmt: skip


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
        await asyncio.sleep(SLOW_S)
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
        await asyncio.sleep(SLOW_S)
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
        await asyncio.sleep(SLOW_S)
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
        await asyncio.sleep(SLOW_S)
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
        await asyncio.sleep(SLOW_S)
        assert it.statuses == [200, 200, status]
        await asyncio.sleep(2 * LINGER_S)
        assert it.transport.closed


async def test_a_head_that_drips_after_a_request_does_not_cost_its_answer() -> None:
    async with bench() as it:
        it.rules.head_timeout_s = SLOW_S / 4
        await it.send(SLOW_GET + b"GET /ne")
        await asyncio.sleep(SLOW_S)
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
        await asyncio.sleep(SLOW_S)
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
