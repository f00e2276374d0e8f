"""`neumo serve` as its operators meet it: a process, a port, signals, exit codes, logs."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from app.bundle import find_bundle
from app.settings import Settings
from tests.conftest import ROOT
from tests.contract.test_health import value_of
from tests.images import encode
from tests.server import Server, multipart, running, started


def predict(server: Server, image: bytes, name: str = "chest.jpg") -> tuple[int, bytes]:
    body, headers = multipart(("file", name, image))
    status, _, answer = server.call("POST", "/predict", body, headers)
    return status, answer


def test_it_is_ready_within_three_seconds() -> None:
    seconds = []
    for _ in range(3):  # the best of three: a shared machine pauses now and then
        begun = time.monotonic()
        with running():
            seconds.append(time.monotonic() - begun)
        if seconds[-1] <= 3:
            return
    raise AssertionError(f"ready after {seconds} s")


def test_torch_is_not_loaded_where_it_serves() -> None:
    code = "import sys, app.main; sys.exit('torch' in sys.modules or 'training' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_sigterm_finishes_what_is_in_flight_and_exits_with_0(jpeg: bytes) -> None:
    with running() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            client.sendall(head.encode() + jpeg[:100])
            time.sleep(0.3)  # now the request is in flight, its body half sent
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            client.sendall(jpeg[100:])
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(20) == 0


def test_a_sigterm_before_the_server_listens_for_it_is_not_lost() -> None:
    code = """
import os, signal, sys, uvicorn
from app.server import serve
from app.settings import Settings

run = uvicorn.Server.run

def run_late(self):
    os.kill(os.getpid(), signal.SIGTERM)
    run(self)

uvicorn.Server.run = run_late
sys.exit(serve(Settings(port=0)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)
    assert result.returncode == 0


def copy_bundle(folder: Path) -> Path:
    target = folder / "neumo-copy-1"
    shutil.copytree(
        find_bundle(Settings().model), target, ignore=shutil.ignore_patterns("*.fp32.*")
    )
    return target


@pytest.fixture
def altered_graph(tmp_path: Path) -> Path:
    """A bundle whose model.onnx was changed after its card was written."""
    bundle = copy_bundle(tmp_path)
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"\0")
    return bundle


@pytest.fixture
def wrong_answers(tmp_path: Path) -> Path:
    """A bundle whose card expects other answers than its graph gives."""
    bundle = copy_bundle(tmp_path)
    card = json.loads((bundle / "card.json").read_text())
    card["known_answers"][0]["probabilities"].reverse()
    (bundle / "card.json").write_text(json.dumps(card))
    return bundle


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("bundle", "code"),
    [("altered_graph", "bundle_hash_mismatch"), ("wrong_answers", "known_answer_wrong")],
)
def test_a_bundle_that_is_not_right_stops_the_start(
    request: pytest.FixtureRequest, bundle: str, code: str, workers: str
) -> None:
    path: Path = request.getfixturevalue(bundle)
    with started("--model", str(path), "--workers", workers) as server:
        assert server.process.wait(30) == 3
        critical = [line for line in server.lines() if line["level"] == "critical"]
        assert {line["code"] for line in critical} == {code}
        assert str(path.parent) not in server.log_text()


def test_several_workers_without_a_temporary_folder_say_what_to_set() -> None:
    code = (
        "import sys, tempfile; tempfile.tempdir = '/proc/none'; from app.cli import main;"
        "sys.exit(main(['serve', '--port', '0', '--workers', '2']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "TMPDIR" in json.loads(result.stderr.splitlines()[-1])["message"]


def test_a_taken_port_stops_the_start(server: Server) -> None:
    with started("--port", str(server.port)) as second:
        assert second.process.wait(30) != 0


def test_a_wrong_setting_is_named_and_stops_the_start() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--port", "70000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "NEUMO_PORT" in result.stderr


def test_uploads_never_touch_the_disk() -> None:
    """Under a file size limit of 0 no byte can be written to any file, TMPDIR or not."""
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000), np.uint8)
    image = encode(noise, "PNG")
    assert len(image) > 3_000_000
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"ulimit -f 0; exec {sys.executable} -m app serve --port {port}"
    environment = os.environ | {"TMPDIR": "/proc/none", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            server = Server(process, port, Path(os.devnull))
            server.wait_until_ready()
            assert predict(server, image, "large.png")[0] == 200
            body, headers = multipart(*[("file", "large.png", image)] * 2)
            status, _, answer = server.call("POST", "/predict/batch", body, headers)
            assert status == 200
            assert [result["status"] for result in json.loads(answer)["results"]] == ["ok", "ok"]
        finally:
            process.terminate()
            process.communicate()


def test_a_client_that_sends_all_before_it_reads_still_gets_its_413(server: Server) -> None:
    status, headers, answer = server.call("POST", "/predict", b"\xff" * (40 * 2**20))
    assert (status, json.loads(answer)["code"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


def test_logs_are_json_with_request_id_and_stage_times(server: Server, jpeg: bytes) -> None:
    _, answer = predict(server, jpeg)
    reading = json.loads(answer)
    line = server.line_of(reading["request_id"])
    assert (line["route"], line["method"], line["status"]) == ("/predict", "POST", 200)
    assert line["stages_ms"] == {
        "decode": reading["timing_ms"]["decode"],
        "inference": reading["timing_ms"]["inference"],
    }
    assert line["total_ms"] >= reading["timing_ms"]["total"]


def test_a_batchs_line_holds_the_stage_times_of_all_its_files(server: Server, jpeg: bytes) -> None:
    body, headers = multipart(*[("file", "a.jpg", jpeg)] * 2, ("file", "b", b""))
    answer = json.loads(server.call("POST", "/predict/batch", body, headers)[2])
    times = [result["timing_ms"] for result in answer["results"][:2]]
    assert server.line_of(answer["request_id"])["stages_ms"] == {
        stage: pytest.approx(sum(time[stage] for time in times), abs=0.002)
        for stage in ("decode", "inference")
    }


def test_logs_hold_no_file_name_no_path_and_no_header(server: Server, jpeg: bytes) -> None:
    body, headers = multipart(("file", "DOE^JOHN.jpg", jpeg))
    secrets = {"User-Agent": "DOE^JOHN", "X-Request-ID": "DOE^JOHN", "Cookie": "p=DOE^JOHN"}
    assert server.call("POST", "/predict?name=DOE^JOHN", body, headers | secrets)[0] == 200
    assert server.call("GET", "/patients/DOE^JOHN", headers=secrets)[0] == 404
    assert server.call("POST", "/predict", b"DOE^JOHN", secrets)[0] == 415
    body, headers = multipart(("DOE^JOHN", "DOE^JOHN", jpeg[: len(jpeg) // 2]))
    assert server.call("POST", "/predict", body, headers)[0] == 400
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"DOE^JOHN / HTTP/1.1\r\n\r\n")
        raw.recv(1000)
    assert len(server.lines()) > 5
    assert "DOE" not in server.log_text()


def test_an_upload_can_not_write_lines_of_its_own_to_the_log(server: Server, jpeg: bytes) -> None:
    tags = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(1000, 2000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1000) + tags + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    before = len(server.lines())
    status, answer = predict(server, jpeg[:2] + segment + jpeg[2:])
    assert status == 200
    server.line_of(json.loads(answer)["request_id"])
    body, headers = multipart(("file", "a.jpg", jpeg))
    headers["Content-Type"] = "multipart/form-data; boundary=another"
    status, _, answer = server.call("POST", "/predict", body, headers)
    assert status == 400
    server.line_of(json.loads(answer)["request_id"])
    assert {line["message"] for line in server.lines()[before:]} == {"request"}


def test_health_and_metrics_calls_are_not_logged(server: Server) -> None:
    before = len(server.lines())
    for path in ("/health/live", "/health/ready", "/health/startup", "/metrics"):
        server.call("GET", path)
    assert len(server.lines()) == before


def test_two_workers_count_as_one_service(jpeg: bytes) -> None:
    with running("--workers", "2") as server:
        assert [predict(server, jpeg)[0] for _ in range(40)] == [200] * 40
        time.sleep(0.2)
        texts = [server.call("GET", "/metrics")[2].decode() for _ in range(6)]
        series = 'neumo_requests_total{method="POST",route="/predict",status="200"}'
        assert {value_of(text, series) for text in texts} == {40.0}
        models = Counter(
            line.rsplit(" ", 1)[1]
            for line in texts[0].splitlines()
            if line.startswith("neumo_model_info{")
        )
        assert models == {"1.0": 1}


def test_a_killed_worker_comes_back(jpeg: bytes) -> None:
    with running("--workers", "2") as server:
        while sum(line["message"] == "ready" for line in server.lines()) < 2:
            time.sleep(0.05)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        workers = [
            int(child)
            for child in children.read_text().split()
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while sum(line["message"] == "ready" for line in server.lines()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert predict(server, jpeg)[0] == 200


def test_the_terminal_gives_the_same_reading_as_http(
    server: Server, examples: dict[str, Path]
) -> None:
    path = examples["viral_pneumonia"]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    served = json.loads(predict(server, path.read_bytes())[1])
    for changing in ("request_id", "timing_ms"):
        del told[changing], served[changing]
    assert told == served


def test_the_terminal_prints_labels_for_people(examples: dict[str, Path]) -> None:
    files = [str(examples["normal"]), str(examples["covid19"]), str(ROOT / "README.md")]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--language", "es", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{files[0]}: Normal\n" in result.stdout
    assert f"{files[1]}: COVID-19\n" in result.stdout
    assert "Neumonía bacteriana" in result.stdout
    assert "no es un diagnóstico" in result.stdout
    assert f"{files[2]}: El contenido no es JPEG ni PNG" in result.stderr


def test_the_health_command_tells_by_its_exit_code(server: Server) -> None:
    def ask(*arguments: str, **environment: str) -> int:
        command = [sys.executable, "-m", "app", "health", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, check=False
        ).returncode

    assert ask("--port", str(server.port)) == 0
    assert ask(NEUMO_PORT=str(server.port), NEUMO_HOST="0.0.0.0") == 0  # noqa: S104 - as in a container
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = str(free.getsockname()[1])
        assert ask("--port", closed) == 1
        assert ask("--port", str(server.port), NEUMO_PORT=closed) == 0
