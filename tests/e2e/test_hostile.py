"""Hostile clients: slow, endless, over-long; and honest ones meanwhile."""

import json
import signal
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.test_health import value_of
from tests.server import Server, predict, running

PREDICT = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A service whose times are a fifth of the default ones."""
    with running("--head-timeout-s", "2", "--body-timeout-s", "2", "--keep-alive-s", "1") as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def read_all(client: socket.socket) -> bytes:
    """Return what comes until the server closes; a reset is a close."""
    read = b""
    try:
        while more := client.recv(65536):
            read += more
    except ConnectionError:
        pass
    return read


def check_problem(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert json.loads(body)["code"] == code


def drip(client: socket.socket, bytes_: bytes, every_s: float = 0.2, limit_s: float = 20) -> float:
    """Send the same bytes again and again until the server closes; return the seconds it took."""
    begun = time.monotonic()
    client.settimeout(every_s)
    while time.monotonic() - begun < limit_s:
        try:
            client.sendall(bytes_)
            if client.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    client.settimeout(20)
    return time.monotonic() - begun


def test_a_head_that_drips_is_answered_408(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(PREDICT)
        assert 1.5 < drip(client, b"X: 1\r\n") < 8
        check_problem(read_all(client), 408, "request_timeout")


def test_a_body_that_drips_is_answered_408(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(PREDICT + b"Content-Length: 1000000\r\n\r\n")
        assert 1.5 < drip(client, b"x") < 8
        check_problem(read_all(client), 408, "request_timeout")
    text = strict.call("GET", "/metrics")[2].decode()
    assert value_of(text, 'neumo_refusals_total{code="request_timeout"}') >= 1
    assert value_of(text, "neumo_in_flight") == 0


@pytest.mark.alone
def test_a_body_that_comes_steadily_may_take_longer(jpeg: bytes) -> None:
    """At more than the least rate: here three seconds where one is the limit."""
    arguments = ("--body-timeout-s", "1", "--min-body-bytes-per-s", "5000")
    with running(*arguments) as patient, connect(patient) as client:
        client.sendall(PREDICT + f"Content-Length: {len(jpeg)}\r\n\r\n".encode())
        begun = time.monotonic()
        piece = len(jpeg) // 15 + 1
        for start in range(0, len(jpeg), piece):
            client.sendall(jpeg[start : start + piece])
            time.sleep(0.2)
        assert time.monotonic() - begun > 2.5
        assert client.recv(15) == b"HTTP/1.1 200 OK"


def test_a_connection_without_a_request_is_closed(strict: Server) -> None:
    with connect(strict) as client:
        begun = time.monotonic()
        assert read_all(client) == b""
        assert 1.5 < time.monotonic() - begun < 8


def test_an_idle_connection_is_closed_after_keep_alive_s(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        begun = time.monotonic()
        assert read_all(client).startswith(b"HTTP/1.1 200")
        assert 0.7 < time.monotonic() - begun < 6


@pytest.mark.parametrize("step", [1_000_000, 1000], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("part", ["line", "header", "headers"])
def test_an_over_long_head_is_answered_431(strict: Server, part: str, step: int) -> None:
    head = {
        "line": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "header": b"GET /health/live HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        "headers": b"GET /health/live HTTP/1.1\r\n" + b"X-Y: abcdef\r\n" * 4000 + b"\r\n",
    }[part]
    counters = (
        'neumo_requests_total{method="other",route="unmatched",status="431"}',
        'neumo_refusals_total{code="head_too_large"}',
    )

    def counted() -> list[float]:
        text = strict.call("GET", "/metrics")[2].decode()
        return [value_of(text, counter) if counter in text else 0.0 for counter in counters]

    before = counted()
    with connect(strict) as client:
        for start in range(0, len(head), step):
            client.sendall(head[start : start + step])
        check_problem(read_all(client), 431, "head_too_large")
    assert counted() == [count + 1 for count in before]


def test_a_refused_client_that_stays_does_not_delay_the_stop() -> None:
    with running("--shutdown-grace-s", "8") as server, connect(server) as client:
        for piece in (b"GET /", b"a" * 40_000, b"a" * 1000):
            client.sendall(piece)
            time.sleep(0.1)
        assert client.recv(12) == b"HTTP/1.1 431"
        server.process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert server.process.wait(20) == 0
        assert time.monotonic() - begun < 5


def test_a_client_that_does_not_read_its_answers_is_closed(strict: Server) -> None:
    asked = 400  # 40 kB each: more than the sockets' buffers hold
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(20)
        client.connect(("127.0.0.1", strict.port))
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        time.sleep(5)  # the limit is two
        assert 0 < read_all(client).count(b"HTTP/1.1 200") < asked


def test_an_endless_head_is_cut_off(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        try:
            while sent < 200_000_000:
                client.sendall(b"a" * 10_000)
                sent += 10_000
        except ConnectionError:
            pass
        assert sent < 90_000_000  # 64 MiB, and what the sockets' buffers may hold


def test_an_endless_chunked_body_is_cut_off(strict: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with connect(strict) as client:
        client.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 400_000_000:
                client.sendall(chunk)
                sent += len(chunk)
        except ConnectionError:
            pass
        assert 32 * 2**20 <= sent < 200_000_000


def test_a_client_that_sends_all_of_an_undeclared_length_still_gets_its_413(
    server: Server,
) -> None:
    """It reads only when all is sent: more than the sockets' buffers hold, if nobody reads."""
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with connect(server) as client:
        client.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(60):  # MiB, of which 32 are allowed and 64 are thrown away
            client.sendall(chunk)
        client.sendall(b"0\r\n\r\n")
        check_problem(read_all(client), 413, "body_too_large")


EARLY = {
    404: b"POST /nowhere HTTP/1.%d\r\nHost: x\r\n",
    405: b"POST /health/live HTTP/1.%d\r\nHost: x\r\n",
    400: b"POST /predict HTTP/1.%d\r\nHost: x\r\nContent-Type: multipart/form-data\r\n",
}
"""Requests that are answered at their head, by the answer."""


def check_early_answer(client: socket.socket, status: int, head: bytes) -> None:
    """Send all before reading; the answer has to be there, and the end after it no reset."""
    client.sendall(head + b"Content-Length: 8000000\r\n\r\n")
    time.sleep(0.05)  # it is answered now
    for _ in range(80):
        client.sendall(b"x" * 100_000)
    answer = b""
    while more := client.recv(65536):  # a reset would raise
        answer += more
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("status", EARLY)
@pytest.mark.parametrize("version", [0, 1], ids=["http-1.0", "close"])
def test_an_early_answer_that_closes_is_not_lost(server: Server, status: int, version: int) -> None:
    head = EARLY[status] % version
    with connect(server) as client:
        check_early_answer(client, status, head + (b"Connection: close\r\n" if version else b""))


def test_an_early_answer_of_a_service_that_drains_is_not_lost() -> None:
    with running("--drain-delay-s", "3") as server:
        clients = [connect(server) for _ in EARLY]
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for client, (status, head) in zip(clients, EARLY.items(), strict=True):
            with client:
                check_early_answer(client, status, head % 1)
        assert server.process.wait(20) == 0


def test_what_an_overloaded_service_turns_away_is_not_lost(examples: dict[str, Path]) -> None:
    """Also if it closes; those that are let in are read."""
    image = examples["normal"].read_bytes()
    head = PREDICT + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(image)
    with running("--threads", "1", "--deadline-s", "0.2") as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(30)]
        for client in clients:
            client.sendall(head)
        for client in clients:
            client.sendall(image)
        statuses = {client.recv(12) for client in clients}
        assert statuses <= {b"HTTP/1.1 200", b"HTTP/1.1 503", b"HTTP/1.1 504"}
        assert b"HTTP/1.1 503" in statuses


@pytest.mark.parametrize("garbage", ["extension", "trailers"])
def test_what_is_endless_beside_the_body_is_cut_off(strict: Server, garbage: str) -> None:
    opening = {"extension": b"1;x=", "trailers": b"0\r\n"}[garbage]
    more = {"extension": b"a" * 1000, "trailers": b"X: " + b"a" * 1000 + b"\r\n"}[garbage]
    with connect(strict) as client:
        client.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + opening)
        assert 1 < drip(client, more, every_s=0.05) < 12


def test_trailers_are_bounded_by_their_size_too(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        sent, trailers = 0, b"X: abcdefgh\r\n" * 5000
        try:
            while sent < 200_000_000:
                client.sendall(trailers)
                sent += len(trailers)
        except ConnectionError:
            pass
        assert sent < 90_000_000  # 64 MiB, and what the sockets' buffers may hold


def test_what_drips_after_its_answer_is_cut_off(strict: Server) -> None:
    with connect(strict) as client:
        client.sendall(b"POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 405")
        begun = time.monotonic()
        client.settimeout(0.2)
        while time.monotonic() - begun < 20:
            try:
                client.sendall(b"x")
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 4 < time.monotonic() - begun < 12


def test_a_refused_body_does_not_cost_the_connection(server: Server) -> None:
    """What comes of a body after its refusal is thrown away; the next request is answered."""
    with connect(server) as client:
        body = b"x" * 300_000
        client.sendall(
            f"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        time.sleep(0.1)
        client.sendall(body + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = read_all(client)
        assert answers.startswith(b"HTTP/1.1 404")
        assert b"HTTP/1.1 200 OK" in answers


@pytest.mark.parametrize("path", ["/predict?heatmap=maybe", "/explain?alpha=7", "/nowhere"])
def test_a_client_that_asks_before_it_sends_gets_its_refusal_and_the_connection_ends(
    server: Server, path: str
) -> None:
    """Whether the body will come can't be known: what comes next may be it, or a request."""
    with connect(server) as client:
        client.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 40")
    assert b"connection: close" in answer.lower()


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server: Server) -> None:
    with connect(server) as client:
        head = PREDICT + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"no image!" + head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        client.sendall(b"no image!")
        assert read_all(client).count(b"HTTP/1.1 415 ") == 2  # the connection went on


def test_bytes_that_are_no_http_get_a_problem_too(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        check_problem(read_all(client), 400, "malformed")


@pytest.mark.parametrize(
    "line",
    [
        "POST /predict?name=José HTTP/1.1".encode(),
        "POST /predict?name=José HTTP/1.1".encode("latin-1"),
        b"POST /predict?name=John Doe HTTP/1.1",
        "POST /tórax HTTP/1.1".encode(),
    ],
)
def test_an_address_that_is_not_encoded_is_named(server: Server, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(line + b"\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    problem = json.loads(body)
    assert (problem["code"], problem["reason"]) == ("malformed", "address")
    assert "percent-encoded" in problem["detail"]
    assert b"Jos" not in answer
    assert b"Doe" not in answer


def test_a_wish_for_another_protocol_does_not_hide_the_body(server: Server, jpeg: bytes) -> None:
    """As Java's HttpClient sends it; a body taken for a request would be a way around a proxy."""
    head = PREDICT + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    with connect(server) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg + LAST)
        answers = read_all(client)
    assert [int(answer[:3]) for answer in answers.split(b"HTTP/1.1 ")[1:]] == [200, 200]
    assert b'"label"' in answers.split(b"HTTP/1.1 ")[1]


@pytest.mark.parametrize(
    "pieces", [[b"ZZ\r\n"], [b"1\r\nx\r\n", b"ZZ\r\n"]], ids=["first", "later"]
)
def test_a_malformed_chunk_is_answered_400(server: Server, pieces: list[bytes]) -> None:
    with connect(server) as client:
        client.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            time.sleep(0.1)
            client.sendall(piece)
        check_problem(read_all(client), 400, "malformed")


def test_garbage_after_a_request_does_not_cost_its_answer(server: Server, jpeg: bytes) -> None:
    with connect(server) as client:
        client.sendall(PREDICT + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\0\0\r\n\r\n")
        _, reading, refusal = read_all(client).split(b"HTTP/1.1 ")
    assert reading.startswith(b"200 ")
    assert b'"label"' in reading
    check_problem(b"HTTP/1.1 " + refusal, 400, "malformed")


def test_work_of_a_client_that_sent_ahead_and_left_is_dropped(jpeg: bytes) -> None:
    with running("--threads", "1") as server:
        client = connect(server)
        request = PREDICT + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg
        client.sendall(request * 3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(1)
        text = server.call("GET", "/metrics")[2].decode()
        gone = 'neumo_requests_total{method="POST",route="/predict",status="499"}'
        assert value_of(text, gone) == 1
        assert 'route="/predict",status="200"' not in text


def test_a_client_that_sends_far_ahead_is_answered_and_then_refused(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        answers = read_all(client).split(b"HTTP/1.1 ")[1:]
    assert 65 <= len(answers) < 500
    assert all(answer.startswith(b"200 ") for answer in answers)
    assert b"connection: close" in answers[-1]


@pytest.mark.alone
def test_200_slow_clients_are_closed_in_time_and_cost_honest_ones_nothing(jpeg: bytes) -> None:
    """At the default settings: within 15 s, half of them in their heads, half in their bodies."""
    with running() as server, ExitStack() as stack:

        def honest(calls: int) -> list[float]:
            seconds = []
            for _ in range(calls):
                begun = time.monotonic()
                assert predict(server, jpeg)[0] == 200
                seconds.append(time.monotonic() - begun)
            return seconds

        honest(20)
        before = honest(60)
        begun = time.monotonic()
        slow = [stack.enter_context(connect(server)) for _ in range(200)]
        for number, client in enumerate(slow):
            client.sendall(PREDICT + (b"Content-Length: 30000000\r\n\r\n" if number % 2 else b""))
            client.setblocking(False)
        open_ = set(slow)
        during: list[float] = []
        while open_ and time.monotonic() - begun < 30:
            for client in list(open_):
                try:
                    client.send(b"x")
                    if client.recv(65536) == b"":
                        open_.discard(client)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    open_.discard(client)
            during += honest(5)
        assert not open_
        assert time.monotonic() - begun < 15
        worst = [statistics.quantiles(times, n=100)[98] for times in (before, during)]
        assert worst[1] < 2 * worst[0] + 0.1, worst
