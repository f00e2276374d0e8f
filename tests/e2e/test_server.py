"""`neumo serve` as its operators meet it: a process, a port, signals, exit codes, workers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.model.bundle import find_bundle
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.contract.test_health import value_of
from tests.images import encode
from tests.server import Server, free_port, multipart, predict, running, started


@pytest.mark.alone
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


@pytest.mark.parametrize("process", ["Supervisor", "Server"])
def test_a_sigterm_before_the_process_listens_for_it_is_not_lost(process: str) -> None:
    code = f"""
import os, signal, sys, time
from app.settings.settings import Settings
from app.server.supervisor import Supervisor, serve
from app.server.uvicorn_server import Server

run = {process}.run

def run_late(self, *given):
    os.kill({"os.getpid()" if process == "Supervisor" else "os.getppid()"}, signal.SIGTERM)
    time.sleep(0.5)
    return run(self, *given)

{process}.run = run_late
sys.exit(serve(Settings(port=0, drain_delay_s=0, shutdown_grace_s=60)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=30)
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


NO_FOLDER = (
    "import sys, tempfile; tempfile.tempdir = '/proc/none'; from app.cli.command import main;"
    "from app.server import supervisor; supervisor._SHARED_MEMORY = '/proc/none';"
)


def test_several_workers_without_a_temporary_folder_say_what_to_set() -> None:
    code = NO_FOLDER + "sys.exit(main(['serve', '--port', '0', '--workers', '2']))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "TMPDIR" in json.loads(result.stderr.splitlines()[-1])["message"]


def test_where_nobody_asked_for_several_workers_one_serves_without_a_folder(
    tmp_path: Path,
) -> None:
    log, port = tmp_path / "log", free_port()
    code = NO_FOLDER + "supervisor.Settings.worker_count = property(lambda own: own.workers or 2);"
    code += f"sys.exit(main(['serve', '--port', '{port}']))"
    environment = os.environ | {"NEUMO_WORKERS": "", "NEUMO_DRAIN_DELAY_S": "0"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stderr=stderr, env=environment
        )
    try:
        server = Server(process, port, log)
        server.wait_until_ready()
        assert len(server.workers) == 1
        assert any("one worker serves" in line["message"] for line in server.lines())
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_read_only_root_without_tmp_still_has_several_workers() -> None:
    """Containers have /dev/shm; metrics are shared there, and the folder goes at the end."""
    before = set(Path("/dev/shm").glob("neumo-metrics-*"))  # noqa: S108
    with running("--workers", "2", environment={"TMPDIR": "/proc/none"}, cwd=ROOT) as server:
        assert len(server.workers) == 2
    assert set(Path("/dev/shm").glob("neumo-metrics-*")) <= before  # noqa: S108


def test_by_default_there_is_a_worker_for_each_cpu() -> None:
    with running(environment={"NEUMO_WORKERS": ""}) as server:
        assert len(server.workers) == Settings(workers=0).worker_count
        assert sum(line["message"] == "ready" for line in server.lines()) == len(server.workers)


def test_a_taken_port_stops_the_start_with_a_code_of_its_own(server: Server) -> None:
    with started("--port", str(server.port)) as second:
        assert second.process.wait(30) == 4
        assert second.lines()[-1]["reason"] == "Address already in use"


def test_sighup_is_refused_and_costs_nothing(jpeg: bytes) -> None:
    with running() as server:
        before = server.workers
        server.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if any("SIGHUP is not taken" in line["message"] for line in server.lines()):
                break
            time.sleep(0.02)
        else:
            raise AssertionError(server.log_text())
        assert predict(server, jpeg)[0] == 200
        assert server.workers == before


def test_a_variable_that_is_no_setting_is_told_at_the_start() -> None:
    environment = {"NEUMO_DEADLINE": "3", "NEUMO_SERVICE_HOST": "10.43.0.1"}
    with running(environment=environment) as server:
        remarks = [line["remark"] for line in server.lines() if "remark" in line]
    assert remarks == ["NEUMO_DEADLINE is no setting, did you mean NEUMO_DEADLINE_S?"]


def test_a_kubernetes_service_link_does_not_stop_the_start() -> None:
    with running(environment={"NEUMO_PORT": "tcp://10.43.0.1:8000"}) as server:
        (remark,) = [line["remark"] for line in server.lines() if "remark" in line]
    assert "enableServiceLinks" in remark


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


def test_uploads_never_touch_the_disk(examples: dict[str, Path]) -> None:
    """Under a file size limit of 0 no byte can be written to any file, TMPDIR or not."""
    grain = np.random.default_rng(0).integers(0, 64, (2000, 2000), np.uint8)
    chest = np.asarray(Image.open(examples["normal"]).resize((2000, 2000)))
    image = encode(chest // 4 * 3 + grain, "PNG")
    assert len(image) > 3_000_000
    port = free_port()
    command = f"ulimit -f 0; exec {sys.executable} -m app serve --port {port} --workers 1"
    environment = os.environ | {"TMPDIR": "/proc/none", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            server = Server(process, port, Path(os.devnull))
            server.wait_until_ready()
            assert predict(server, image, "large.png")[0] == 200
            if find_spec("pydicom"):
                film = (ROOT / "examples" / "normal.dcm").read_bytes()
                assert predict(server, film, "film.dcm")[0] == 200
                assert server.call("POST", "/preview", film)[0] == 200
            body, headers = multipart(*[("file", "large.png", image)] * 2)
            status, _, answer = server.call("POST", "/predict/batch", body, headers)
            assert status == 200
            widths = [result["image"]["width"] for result in json.loads(answer)["results"]]
            assert widths == [2000, 2000]
        finally:
            process.terminate()
            process.communicate()


def test_a_client_that_sends_all_before_it_reads_still_gets_its_413(server: Server) -> None:
    status, headers, answer = server.call("POST", "/predict", b"\xff" * (40 * 2**20))
    assert (status, json.loads(answer)["code"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


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
