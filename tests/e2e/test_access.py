"""Who gets in, to a real service of several workers: keys, rates, TLS; what is read of bodies."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.access.caller import SCOPES, Rate
from app.access.key import Key
from app.access.key_file import change_keys
from tests.certificates import Authority
from tests.server import Server, running, started

WORKERS = "2"
UPLOAD_BYTES = 30 * 2**20
HEAD_TIMEOUT_S = 2.0

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (Debian: curl)")


def add_key(path: Path, name: str, rate: Rate | None = None) -> str:
    """Add a key for everything to a file; return it."""
    key, secret = Key.create(name, frozenset(SCOPES), datetime.now(UTC), rate=rate)
    change_keys(path, lambda keys: [*keys, key])
    return secret


def run(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def secret(keys_file: Path) -> str:
    return add_key(keys_file, "pacs")


@pytest.fixture(scope="module")
def guarded(keys_file: Path, secret: str) -> Iterator[Server]:  # noqa: ARG001 - which is in it
    """Two workers that ask for keys."""
    with running("--workers", WORKERS, "--keys-file", str(keys_file)) as server:
        yield server


def test_other_machines_are_not_served_without_keys() -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it doesn't start
    assert refused.returncode == 2
    for way_out in ("neumo keys create", "NEUMO_KEYS_FILE", "NEUMO_INSECURE_NO_KEYS"):
        assert way_out in refused.stderr
    assert "bound" not in refused.stderr


def test_a_walk_from_nothing(tmp_path: Path, jpeg: bytes) -> None:
    """Make a key in the terminal, start on all addresses' behalf, call, and look for the key."""
    keys = str(tmp_path / "keys.json")
    made = run("keys", "create", "--file", keys, "--name", "pacs", "--scopes", "predict")
    shown = bearer(made.stdout.strip())
    with running("--keys-file", keys) as server:
        assert server.call("POST", "/predict", jpeg)[0] == 401
        status, headers, _ = server.call("POST", "/predict", jpeg, shown)
        assert status == 200
        assert server.call("GET", "/metrics", None, shown)[0] == 403
        assert server.line_of(headers["x-request-id"])["caller"] == "pacs"
        assert run("health", "--port", str(server.port)).returncode == 0
        assert made.stdout.strip() not in server.log_text()


def test_a_key_is_revoked_in_every_worker_within_a_second(guarded: Server, keys_file: Path) -> None:
    secret = add_key(keys_file, "lost")
    time.sleep(1)
    connections = [guarded.connect() for _ in range(8)]  # the workers share them evenly

    def statuses() -> set[int]:
        found = set()
        for connection in connections:
            connection.request("GET", "/model", headers=bearer(secret))
            answer = connection.getresponse()
            answer.read()
            found.add(answer.status)
        return found

    assert statuses() == {200}
    assert run("keys", "revoke", "lost", "--file", str(keys_file)).returncode == 0
    time.sleep(1)
    assert statuses() == {401}
    for connection in connections:
        connection.close()


def read_bytes(server: Server) -> int:
    """Return how many bytes the workers have read since they started."""
    counted = 0
    for worker in server.workers:
        fields = Path(f"/proc/{worker}/io").read_text().split()
        counted += int(fields[fields.index("rchar:") + 1])
    return counted


def test_an_upload_of_nobody_who_is_known_is_refused_before_it_comes(guarded: Server) -> None:
    """30 MB are announced and none is sent: the answer is there all the same."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {UPLOAD_BYTES}\r\n"
    for more in ("", "Expect: 100-continue\r\n"):
        before = read_bytes(guarded)
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as client:
            client.sendall(f"{head}{more}\r\n".encode())
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"100 Continue" not in answer
        assert read_bytes(guarded) - before < 10_000


@needs_curl
@pytest.mark.parametrize(("expect", "most_bytes"), [("100-continue", 0), ("", 8 * 2**20)])
def test_curl_stops_an_upload_that_is_refused(
    guarded: Server, tmp_path: Path, expect: str, most_bytes: int
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(UPLOAD_BYTES))
    before = read_bytes(guarded)
    told = subprocess.run(
        ["curl", "--silent", "--output", str(tmp_path / "answer"), "--limit-rate", "20M",
         "--header", f"Expect: {expect}" if expect else "Expect:", "--data-binary", f"@{upload}",
         "--write-out", "%{http_code} %{size_upload}", f"{guarded.url}/predict"],
        capture_output=True, text=True, timeout=60, check=False,
    ).stdout.split()  # fmt: skip
    assert told[0] == "401"
    assert int(told[1]) <= most_bytes
    assert read_bytes(guarded) - before < most_bytes + 50_000


def test_an_upload_of_who_may_is_read(guarded: Server, secret: str, jpeg: bytes) -> None:
    before = read_bytes(guarded)
    assert guarded.call("POST", "/predict", jpeg, bearer(secret))[0] == 200
    assert read_bytes(guarded) - before >= len(jpeg)


@pytest.mark.alone
def test_four_workers_together_keep_to_a_keys_rate(tmp_path: Path) -> None:
    secret = add_key(tmp_path / "keys", "pacs", Rate(per_s=40, burst=20))
    seconds, threads = 4.0, 8
    answered: list[int] = []

    def ask(server: Server, until_s: float) -> None:
        connection = server.connect()
        while time.monotonic() < until_s:
            connection.request("GET", "/model", headers=bearer(secret))
            answer = connection.getresponse()
            answer.read()
            answered.append(answer.status)
            if answer.status == 429:
                assert answer.getheader("Retry-After") == "1"
                time.sleep(0.005)
        connection.close()

    with running("--workers", "4", "--keys-file", str(tmp_path / "keys")) as server:
        begun_s = time.monotonic()
        asking = [
            threading.Thread(target=ask, args=(server, begun_s + seconds)) for _ in range(threads)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        took_s = time.monotonic() - begun_s
    assert set(answered) == {200, 429}
    allowed = 20 + 40 * took_s
    assert 0.97 * (20 + 40 * seconds) <= answered.count(200) <= allowed + 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def trust(authority: Authority) -> ssl.SSLContext:
    """What a client needs to trust the service."""
    return ssl.create_default_context(cafile=str(authority.ca))


@pytest.fixture(scope="module")
def encrypted(
    authority: Authority,
    trust: ssl.SSLContext,
    keys_file: Path,
    secret: str,  # noqa: ARG001
) -> Iterator[Server]:
    """Two workers that speak TLS and ask for keys."""
    cert, key = authority.issue("neumo", "server")
    with running(
        "--workers", WORKERS, "--keys-file", str(keys_file), "--tls-cert", str(cert),
        "--tls-key", str(key), "--head-timeout-s", str(HEAD_TIMEOUT_S), context=trust,
    ) as server:  # fmt: skip
        yield server


@needs_curl
def test_curl_gets_a_reading_over_tls(
    encrypted: Server, authority: Authority, secret: str, examples: dict[str, Path]
) -> None:
    said = subprocess.run(
        ["curl", "--silent", "--cacert", str(authority.ca), "--header", f"X-API-Key: {secret}",
         "--form", f"file=@{examples['normal']}", "--write-out",
         " %{http_code} %{ssl_verify_result}", f"{encrypted.url}/predict"],
        capture_output=True, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    assert said.endswith(" 200 0")
    assert '"label":"normal"' in said


def test_a_large_body_and_a_large_answer_come_whole(
    encrypted: Server, secret: str, jpeg: bytes
) -> None:
    padded = jpeg + bytes(4 * 2**20)
    assert encrypted.call("POST", "/predict", padded, bearer(secret))[0] == 200
    status, headers, body = encrypted.call("GET", "/static-offline-docs/swagger-ui-bundle.js")
    assert (status, len(body)) == (200, int(headers["content-length"]))
    assert len(body) > 1_000_000


def test_an_early_answer_arrives_though_the_client_still_sends(encrypted: Server) -> None:
    connection = encrypted.connect()
    connection.putrequest("POST", "/predict")
    connection.putheader("Connection", "close")
    connection.putheader("Content-Length", str(8 * 2**20))
    connection.endheaders()
    for _ in range(128):
        connection.send(bytes(2**16))
    assert connection.getresponse().status == 401
    connection.close()


def closed_after(client: socket.socket, limit_s: float = 20) -> float:
    """Return the seconds until the server closes."""
    begun_s = time.monotonic()
    client.settimeout(limit_s)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - begun_s


def test_http_in_the_clear_is_closed_at_once(encrypted: Server) -> None:
    with socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert closed_after(client) < HEAD_TIMEOUT_S / 2


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half-a-hello"])
def test_a_handshake_that_does_not_come_is_given_up(encrypted: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as client:
        client.sendall(sent)
        assert HEAD_TIMEOUT_S * 0.8 < closed_after(client) < HEAD_TIMEOUT_S * 3


def test_a_head_that_does_not_come_after_the_handshake_is_given_up(encrypted: Server) -> None:
    context = encrypted.context
    assert context is not None
    with (
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET /health/live HTTP/1.1\r\n")
        begun_s = time.monotonic()
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert HEAD_TIMEOUT_S * 0.8 < time.monotonic() - begun_s < HEAD_TIMEOUT_S * 3


def test_handshakes_that_hang_keep_nobody_out(encrypted: Server) -> None:
    hanging = [
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) for _ in range(200)
    ]
    begun_s = time.monotonic()
    for _ in range(10):
        assert encrypted.call("GET", "/health/ready")[0] == 200
    assert time.monotonic() - begun_s < HEAD_TIMEOUT_S / 2
    for client in hanging:
        client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(encrypted: Server, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


def test_health_is_asked_over_tls(encrypted: Server, authority: Authority) -> None:
    cert, key = authority.issue("health")
    given = ["--port", str(encrypted.port), "--tls-cert", str(cert), "--tls-key", str(key)]
    asked = run("health", *given)
    assert (asked.returncode, asked.stdout) == (0, "ready: 200\n")
    assert run("health", "--port", str(encrypted.port)).returncode == 1


def serial_of(server: Server) -> object:
    """Return the serial number of the certificate that a new connection is shown."""
    assert server.context is not None
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw,
        server.context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        certificate = client.getpeercert()
        assert certificate
        return certificate["serialNumber"]


def until(is_so: Callable[[], bool], limit_s: float = 10) -> None:
    begun_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun_s < limit_s
        time.sleep(0.05)


def test_a_renewed_certificate_is_shown_by_every_worker_and_no_request_is_lost(
    encrypted: Server, authority: Authority, secret: str
) -> None:
    """Half of the clients keep their connection, half make one for each request."""
    statuses: list[int] = []
    failures: list[Exception] = []
    done = threading.Event()

    def ask(keep: bool) -> None:
        connection = encrypted.connect()
        try:
            while not done.is_set():
                connection.request("GET", "/model", headers=bearer(secret))
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
                if not keep:
                    connection.close()
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)
        connection.close()

    asking = [threading.Thread(target=ask, args=(keep,)) for keep in (True, True, False, False)]
    for thread in asking:
        thread.start()
    for _ in range(2):
        before = serial_of(encrypted)
        authority.issue("neumo", "server")
        until(lambda before=before: serial_of(encrypted) != before)  # type: ignore[misc]
        time.sleep(1.5)
        assert before not in {serial_of(encrypted) for _ in range(20)}
    done.set()
    for thread in asking:
        thread.join()
    assert failures == []
    assert set(statuses) == {200}
    assert len(statuses) > 100


@pytest.fixture(scope="module")
def mutual(authority: Authority) -> Iterator[Server]:
    """One worker that asks for client certificates, and lets them read films."""
    cert, key = authority.issue("neumo", "mutual")
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(*authority.issue("modality-3"))
    with running(
        "--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.ca),
        "--tls-client-scopes", "predict", context=context,
    ) as server:  # fmt: skip
        yield server


def test_a_client_certificate_is_a_key_and_names_its_caller(mutual: Server, jpeg: bytes) -> None:
    status, headers, _ = mutual.call("POST", "/predict", jpeg)
    assert status == 200
    assert mutual.line_of(headers["x-request-id"])["caller"] == "modality-3"
    assert mutual.call("GET", "/metrics")[0] == 403


def test_without_a_client_certificate_there_is_no_answer(
    mutual: Server, trust: ssl.SSLContext
) -> None:
    other = Server(mutual.process, mutual.port, mutual.log, trust)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the version of TLS
        other.call("GET", "/health/live")


def test_health_shows_the_services_own_certificate(mutual: Server, authority: Authority) -> None:
    cert = authority.ca.parent / "mutual.pem"
    given = ["--port", str(mutual.port), "--tls-cert", str(cert)]
    assert run("health", *given, "--tls-key", str(cert.with_suffix(".key"))).returncode == 0


def test_models_are_listed_to_who_shows_a_client_certificate(
    mutual: Server, authority: Authority
) -> None:
    cert, key = authority.issue("operator")
    given = ["models", "list", "--url", mutual.url, "--ca", str(authority.ca)]
    assert run(*given).returncode == 1
    listed = run(*given, "--tls-cert", str(cert), "--tls-key", str(key))
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["active"] == "neumo-r18-3"
    wrong = run(*given, "--tls-cert", str(cert), "--tls-key", str(cert.parent / "mutual.key"))
    assert wrong.returncode == 2
    assert "--tls-cert" in wrong.stderr


def test_a_certificate_that_can_not_be_used_stops_the_start(authority: Authority) -> None:
    cert, _ = authority.issue("one")
    _, key = authority.issue("two")
    given = ["--port", "0", "--tls-cert", str(cert), "--tls-key", str(key)]
    refused = run("serve", *given)
    assert refused.returncode == 2
    assert "TLS can't be served" in refused.stderr


def test_a_stop_does_not_wait_for_handshakes_that_hang(authority: Authority) -> None:
    cert, key = authority.issue("stop")
    given = ["--tls-cert", str(cert), "--tls-key", str(key)]
    context = ssl.create_default_context(cafile=str(authority.ca))
    with started(*given, context=context) as server:
        server.wait_until_ready()
        with socket.create_connection(("127.0.0.1", server.port)):
            time.sleep(0.2)
            begun_s = time.monotonic()
            server.process.terminate()
            assert server.process.wait(20) == 0
            assert time.monotonic() - begun_s < 5
