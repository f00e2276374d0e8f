"""Ways around the guard: paths, headers and bodies that two readers may read differently.

Every request goes to a real service, byte by byte as it stands here.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.access.caller import SCOPES
from app.access.key import Key
from app.access.key_file import change_keys
from tests.server import Server, running

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "FOO")
PATHS = (
    "/metrics", "//metrics", "/metrics/", "/METRICS", "/%6detrics", "/metrics%00", "/metrics%0a",
    "/metrics%20", "/metrics;x", "/metrics?x", "/metrics#x", "/./metrics", "/docs/../metrics",
    "/docs/%2e%2e/metrics", "/static-offline-docs/../metrics", "/static-offline-docs/..%2fmetrics",
    "/static-offline-docs/%2e%2e/%2e%2e/app/main.py", "/static-offline-docs//etc/passwd",
    "/static-offline-docs/metrics", "/static-offline-docs/static-offline-docs/metrics",
    "/page/../metrics", "/page/%2e%2e%2fmetrics", "/page/metrics", "/%2fmetrics", "/metrics%2f",
    "http://x/metrics", "http://x//metrics", "x:80/metrics", "*", "/health/live/../../metrics",
    "/neumo/metrics", "/neumo//metrics", "/neumo/neumo/metrics", "/neumometrics", "/docs/metrics",
    "/docs/docs/metrics", "\\metrics", "/metrics\\", "/%c0%afmetrics",
    "/performance%3f", "/models/", "/admin/models/rollback%0a",
    "/admin/models/a%2f..%2frollback/activate",
)  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A key for each scope, and the file of them."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    made, secrets = [], {"file": str(path)}
    for scope in SCOPES:
        key, secrets[scope] = Key.create(scope, frozenset((scope,)), datetime.now(UTC))
        made.append(key)
    change_keys(path, lambda _: made)
    return secrets


@contextmanager
def guarded(keys: dict[str, str], root_path: str = "") -> Iterator[Server]:
    environment = {"NEUMO_KEYS_FILE": keys["file"], "NEUMO_ROOT_PATH": root_path}
    with running(environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def server(keys: dict[str, str]) -> Iterator[Server]:
    """A service that asks for keys."""
    with guarded(keys) as server:
        yield server


def send(server: Server, request: bytes) -> tuple[list[int], bytes]:
    """Return the statuses of all answers until no more comes, and the bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request)
        client.settimeout(0.5)
        answers = b""
        try:
            while more := client.recv(65536):
                answers += more
        except (TimeoutError, ConnectionError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)], answers


@pytest.mark.parametrize("root_path", ["", "/neumo", "/docs", "/page", "/static-offline-docs"])
def test_no_spelling_of_a_path_leads_around_the_guard(keys: dict[str, str], root_path: str) -> None:
    """Also where the path of a proxy is that of something that is open."""
    let_in = []
    with guarded(keys, root_path) as server:
        for path in PATHS:
            for method in METHODS:
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                statuses, answer = send(
                    server, f"{head}Connection: close\r\n\r\n".encode("latin-1")
                )
                if b"neumo_requests" in answer or any(
                    status < 400 or status > 499 for status in statuses
                ):
                    let_in.append((method, path, statuses))
        assert send(server, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")[0] == [200]
    assert let_in == []


METRICS = b"GET /metrics HTTP/1.1\r\nHost: y\r\n\r\n"
"""Stands within bodies: it must never be answered as a request of its own with what it asks for."""
LENGTH = b"Content-Length: %d\r\n" % len(METRICS)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
CHUNK = b"\r\n%x\r\n" % len(METRICS) + METRICS + b"\r\n0\r\n\r\n"
END = b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    {
        "a body of a GET": (b"GET /model\n" + LENGTH + b"\r\n" + METRICS, [200]),
        "a body nobody may send": (b"POST /nowhere\n" + LENGTH + b"\r\n" + METRICS, [404]),
        "another protocol, and a body": (
            b"GET /model\n" + UPGRADE + LENGTH + b"\r\n" + METRICS, [200],
        ),
        "another protocol, and chunks": (b"POST /predict\n" + UPGRADE + CHUNKED + CHUNK, [415]),
        "chunks and a length": (
            b"POST /predict\n" + CHUNKED + b"Content-Length: 5\r\n" + END, [400],
        ),
        "the same, and another protocol": (
            b"POST /predict\n" + UPGRADE + CHUNKED + b"Content-Length: 5\r\n" + END, [400],
        ),
        "two lengths": (
            b"POST /predict\nContent-Length: 0\r\n" + LENGTH + b"\r\n" + METRICS, [400],
        ),
        "two lengths, and another protocol": (
            b"POST /predict\n" + UPGRADE + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + METRICS,
            [400],
        ),
        "a length with a sign": (b"POST /predict\nContent-Length: +3\r\n\r\nabc" + METRICS, [400]),
        "a list of lengths": (b"POST /predict\nContent-Length: 3, 3\r\n\r\nabc" + METRICS, [400]),
        "an endless length": (b"POST /predict\nContent-Length: " + b"9" * 20 + b"\r\n\r\n", [400]),
        "a coding that is none": (
            b"POST /predict\nContent-Length: 4\r\nTransfer-Encoding: xchunked\r\n\r\n" + METRICS,
            [400],
        ),
        "chunked is not the last coding": (
            b"POST /predict\nTransfer-Encoding: chunked, identity\r\n" + END + METRICS, [400],
        ),
        "chunked twice": (b"POST /predict\n" + CHUNKED + CHUNKED + END + METRICS, [400]),
        "an odd blank": (b"POST /predict\nTransfer-Encoding:\x0bchunked\r\n" + END, [400]),
        "a blank before the colon": (
            b"POST /predict\nTransfer-Encoding : chunked\r\n" + END, [400],
        ),
        "a folded header": (b"GET /model\nX-Fold: a\r\n b\r\n\r\n", [400]),
        "a chunk's length in another way": (
            b"POST /predict\n" + CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n", [400],
        ),
        "a chunk of less than nothing": (b"POST /predict\n" + CHUNKED + b"\r\n-1\r\n\r\n", [400]),
        "a chunk beyond all numbers": (
            b"POST /predict\n" + CHUNKED + b"\r\n10000000000000001\r\nx\r\n0\r\n\r\n", [400],
        ),
        "a line feed alone": (b"POST /predict\n" + CHUNKED + b"\r\n0\n\n" + METRICS, [400]),
        "the next one without a key": (
            b"GET /model\n\r\nGET /model HTTP/1.1\r\n\r\n", [200, 401],
        ),
    }.values(),
    ids=str,
)  # fmt: skip
def test_no_body_is_taken_for_a_request_nor_the_other_way_round(
    server: Server, keys: dict[str, str], request_: bytes, statuses: list[int]
) -> None:
    line, _, rest = request_.partition(b"\n")
    head = line + b" HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keys["predict"].encode() + b"\r\n"
    found, answers = send(server, head + rest)
    assert found == statuses
    assert b"neumo_requests" not in answers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("X-API-Key: {predict}",), 200),
        (("x-api-KEY:   {predict} \t",), 200),
        (("Authorization: Basic eDp5", "Authorization: bearer {predict}"), 200),
        (("Authorization: Bearer {predict}", "X-API-Key: {predict}"), 200),
        (("Authorization: Bearer {predict}", "Authorization: Bearer {admin}"), 400),
        (("Authorization: Bearer {metrics}", "X-API-Key: {predict}"), 400),
        (("X-API-Key: {metrics}",), 403),
        (("X_API_Key: {predict}",), 401),
        (("X-API-Key: {predict},{predict}",), 401),
        (("X-API-Key: \xa0{predict}",), 401),
        (("X-API-Key: {predict}\0",), 400),
        (("Authorization: Bearer\r\n {predict}",), 400),
        (("Authorization: {predict}",), 401),
        (("X-API-Key: " + "k" * 30_000,), 401),
        (("Cookie: X-API-Key={predict}",), 401),
        ((), 401),
    ],
    ids=str,
)
def test_a_key_counts_where_it_belongs_and_once(
    server: Server, keys: dict[str, str], headers: tuple[str, ...], status: int
) -> None:
    lines = "".join(f"{header.format(**keys)}\r\n" for header in headers)
    head = f"GET /model HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
    assert send(server, head.encode("latin-1"))[0] == [status]


def test_a_key_behind_the_body_comes_too_late(server: Server, keys: dict[str, str]) -> None:
    trailers = f"0\r\nX-API-Key: {keys['predict']}\r\n\r\n".encode()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n" + CHUNKED
    assert send(server, head + b"\r\n1\r\nx\r\n" + trailers)[0] == [401]


def test_a_keys_file_that_becomes_a_pipe_holds_no_request(tmp_path: Path) -> None:
    """Whoever may write the folder could let every worker wait for ever; the keys known stay."""
    key, secret = Key.create("pacs", frozenset(("predict",)), datetime.now(UTC))
    change_keys(tmp_path / "keys", lambda _: [key])
    with guarded({"file": str(tmp_path / "keys")}) as server:
        os.mkfifo(tmp_path / "pipe", 0o600)
        (tmp_path / "pipe").replace(tmp_path / "keys")
        time.sleep(1.2)  # it looks once a second
        for _ in range(2):
            assert server.call("GET", "/model", headers={"X-API-Key": secret})[0] == 200
        assert "it is no file" in server.log_text()
