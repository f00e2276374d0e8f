"""Models that come and go under a real service of two workers: none is lost, all are alike."""

import http.client
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.model.bundle import find_bundle, read_bundle
from app.model.signature import make_keys, sign_bundle
from app.settings.settings import Settings
from tests.apps import wait_until
from tests.contract.test_health import value_of
from tests.server import Server, running, started

SHIPPED, BEFORE = Settings().model, "neumo-r18-2"
CLIENTS = 4


def copy_bundle(target: Path, source: str = BEFORE) -> Path:
    """Copy what is served of a bundle."""
    target.mkdir(parents=True)
    for name in ("model.onnx", "card.json"):
        shutil.copyfile(find_bundle(source) / name, target / name)
    return target


def call(server: Server, method: str, path: str) -> tuple[int, dict[str, Any]]:
    status, _, answer = server.call(method, path)
    return status, json.loads(answer)


def activate(server: Server, name: str) -> tuple[int, dict[str, Any]]:
    return call(server, "POST", f"/admin/models/{name}/activate")


def states(server: Server) -> dict[str, str]:
    return {each["name"]: each["state"] for each in call(server, "GET", "/models")[1]["models"]}


def names_by_worker(server: Server, jpeg: bytes, count: int = 12) -> Counter[str]:
    """Read on new connections, which the workers share evenly; return which model answered."""
    names: Counter[str] = Counter()
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(count)]
    for connection in connections:  # all open at once, or one worker could take them all
        connection.request("POST", "/predict", jpeg)
        names[json.loads(connection.getresponse().read())["model"]["name"]] += 1
    for connection in connections:
        connection.close()
    return names


@dataclass
class Load:
    """Clients that read all the time, each on a connection of its own.

    Parameters
    ----------
    answers : when each was sent, when it came, its status, and which model answered
    """

    server: Server
    jpeg: bytes
    answers: list[tuple[float, float, int, str]] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        self._threads = [threading.Thread(target=self._post) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the answers that are owed come."""
        self.stopping = True
        for thread in self._threads:
            thread.join(60)

    def _post(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        while not self.stopping:
            sent_s = time.monotonic()
            connection.request("POST", "/predict", self.jpeg)
            response = connection.getresponse()
            answer = json.loads(response.read())
            name = answer.get("model", {}).get("name", answer.get("code"))
            self.answers.append((sent_s, time.monotonic(), response.status, name))
        connection.close()


def switch_under_load(
    server: Server, jpeg: bytes, switches: int, requests: int
) -> list[tuple[float, float, int, str]]:
    """Switch back and forth while clients read; return what they were answered.

    After a switch was answered, no request that is sent is read by the model before.
    """
    load = Load(server, jpeg)
    active = SHIPPED
    windows: list[tuple[float, float, str]] = []  # from a switch's answer to the next call
    try:
        for _ in range(switches):
            active = BEFORE if active == SHIPPED else SHIPPED
            status, _ = activate(server, active)
            assert status == 200
            begun_s = time.monotonic()
            enough = len(load.answers) + requests // switches
            wait_until(lambda enough=enough: len(load.answers) >= enough, 300)  # type: ignore[misc]
            windows.append((begun_s, time.monotonic(), active))
    finally:
        load.stop()
    for begun_s, end_s, name in windows:
        within = {
            told for sent_s, came_s, _, told in load.answers if begun_s < sent_s and came_s < end_s
        }
        assert within == {name}
    return load.answers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, two models."""
    kept = tmp_path_factory.mktemp("choice") / "choice.json"
    environment = {"NEUMO_MODELS": BEFORE, "NEUMO_MODEL_CHOICE": str(kept)}
    with running("--workers", "2", environment=environment) as server:
        yield server


def test_no_request_is_lost_while_models_are_switched(server: Server, jpeg: bytes) -> None:
    answers = switch_under_load(server, jpeg, switches=4, requests=200)
    assert {status for *_, status, _ in answers} == {200}
    assert {name for *_, name in answers} == {SHIPPED, BEFORE}


def test_every_worker_has_switched_once_it_is_answered(server: Server, jpeg: bytes) -> None:
    for name in (BEFORE, SHIPPED, BEFORE):
        assert activate(server, name)[0] == 200
        assert names_by_worker(server, jpeg) == {name: 12}
    assert call(server, "POST", "/admin/models/rollback")[1]["active"] == SHIPPED
    assert names_by_worker(server, jpeg) == {SHIPPED: 12}


def test_a_worker_that_is_replaced_begins_with_the_active_model(
    server: Server, jpeg: bytes
) -> None:
    activate(server, BEFORE)
    time.sleep(1)  # a worker that dies at once is not replaced at once
    killed = server.workers[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers and len(server.workers) == 2, 30)
    wait_until(lambda: call(server, "GET", "/models")[1]["models"][1]["workers"] == 2, 30)
    assert names_by_worker(server, jpeg) == {BEFORE: 12}
    assert activate(server, SHIPPED)[1]["workers"] == 2
    text = server.call("GET", "/metrics")[2].decode()
    assert value_of(text, "neumo_worker_restarts_total") == 1
    assert value_of(text, "neumo_workers") == 2


def test_metrics_are_of_all_workers(server: Server, jpeg: bytes) -> None:
    def text() -> str:
        return server.call("GET", "/metrics")[2].decode()

    before = value_of(text(), "neumo_confidence_count")
    names_by_worker(server, jpeg)
    for _ in range(6):  # whichever worker answers, it tells the same
        assert value_of(text(), "neumo_confidence_count") == before + 12
    assert value_of(text(), "process_resident_memory_bytes") > 150e6
    assert value_of(text(), "process_cpu_seconds_total") > 1


def test_a_switch_outlives_a_restart(tmp_path: Path, jpeg: bytes) -> None:
    environment = {"NEUMO_MODELS": BEFORE, "NEUMO_MODEL_CHOICE": str(tmp_path / "choice.json")}
    with running("--workers", "2", environment=environment) as server:
        activate(server, BEFORE)
    with running("--workers", "2", environment=environment) as server:
        assert names_by_worker(server, jpeg) == {BEFORE: 12}
        assert call(server, "GET", "/models")[1]["former"] == SHIPPED


def test_a_choice_that_is_broken_stops_the_start(tmp_path: Path) -> None:
    kept = tmp_path / "choice.json"
    kept.write_text("{", encoding="utf-8")
    with started(environment={"NEUMO_MODEL_CHOICE": str(kept)}) as server:
        assert server.process.wait(30) == 3
        (line,) = [each for each in server.lines() if each["level"] == "critical"]
        assert line["code"] == "choice_unusable"


@dataclass
class Bundles:
    """Folders of bundles that must not be served, and one that may."""

    folder: Path
    public: Path

    @property
    def names(self) -> str:
        return ",".join(str(path) for path in sorted(self.folder.iterdir()))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    pytest.importorskip("cryptography", reason="the extra signatures is not installed")
    folder, keys = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("keys")
    private, public = keys / "private.pem", keys / "public.pem"
    make_keys(private, public)

    def sign(path: Path) -> None:
        sign_bundle(path, read_bundle(path), private)

    sign(copy_bundle(folder / "neumo-signed-1"))
    copy_bundle(folder / "neumo-unsigned-1")
    tampered = copy_bundle(folder / "neumo-tampered-1")
    sign(tampered)
    with (tampered / "model.onnx").open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    retouched = copy_bundle(folder / "neumo-retouched-1")
    sign(retouched)
    card = json.loads((retouched / "card.json").read_text(encoding="utf-8"))
    card["operating_points"] = None  # its graph's hash holds
    (retouched / "card.json").write_text(json.dumps(card), encoding="utf-8")
    wrong = copy_bundle(folder / "neumo-wrong-1")
    card = json.loads((wrong / "card.json").read_text(encoding="utf-8"))
    card["known_answers"][0]["probabilities"].reverse()
    (wrong / "card.json").write_text(json.dumps(card), encoding="utf-8")
    sign(wrong)
    own = copy_bundle(folder / "neumo-own-1", SHIPPED)
    sign(own)
    return Bundles(folder, public)


@pytest.fixture(scope="module")
def strict(bundles: Bundles) -> Iterator[Server]:
    """Two workers that serve signed bundles only."""
    own = bundles.folder / "neumo-own-1"
    others = [str(path) for path in sorted(bundles.folder.iterdir()) if path != own]
    environment = {
        "NEUMO_MODEL": str(own),
        "NEUMO_MODELS": ",".join(others),
        "NEUMO_SIGNATURES_REQUIRED": "true",
        "NEUMO_SIGNATURE_KEYS": str(bundles.public),
    }
    with running("--workers", "2", environment=environment) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("neumo-tampered-1", "bundle_hash_mismatch"),
        ("neumo-retouched-1", "signature_wrong"),
        ("neumo-unsigned-1", "signature_missing"),
        ("neumo-wrong-1", "known_answer_wrong"),
    ],
)
def test_a_bundle_that_is_not_right_never_becomes_active(
    strict: Server, jpeg: bytes, name: str, failure: str
) -> None:
    assert states(strict)[name] == "failed"
    status, answer = activate(strict, name)
    assert (status, answer["code"], answer["failure"]) == (409, "model_not_usable", failure)
    assert names_by_worker(strict, jpeg) == {SHIPPED: 12}
    assert states(strict) == {
        "neumo-own-1": "active", "neumo-signed-1": "loaded", "neumo-tampered-1": "failed",
        "neumo-retouched-1": "failed", "neumo-unsigned-1": "failed", "neumo-wrong-1": "failed",
    }  # fmt: skip


def test_a_signed_bundle_is_served_and_names_its_key(strict: Server, jpeg: bytes) -> None:
    status, answer = activate(strict, "neumo-signed-1")
    assert status == 200
    signed = {each["name"]: each.get("signed_by") for each in answer["models"]}
    assert signed["neumo-signed-1"] == signed["neumo-own-1"] is not None
    assert signed["neumo-unsigned-1"] is None
    assert names_by_worker(strict, jpeg) == {BEFORE: 12}
    activate(strict, "neumo-own-1")


def test_an_unsigned_bundle_stops_the_start_where_signatures_are_required(
    bundles: Bundles,
) -> None:
    environment = {
        "NEUMO_MODEL": str(bundles.folder / "neumo-unsigned-1"),
        "NEUMO_SIGNATURES_REQUIRED": "true",
        "NEUMO_SIGNATURE_KEYS": str(bundles.public),
    }
    with started(environment=environment) as server:
        assert server.process.wait(30) == 3
        assert '"signature_missing"' in server.log_text()


def test_a_bundle_that_changes_under_a_running_service_is_not_switched_to(
    tmp_path: Path, jpeg: bytes
) -> None:
    bundle = copy_bundle(tmp_path / "neumo-moving-1")
    with running("--workers", "2", environment={"NEUMO_MODELS": str(bundle)}) as server:
        assert states(server)["neumo-moving-1"] == "loaded"
        # Another bundle, valid in itself, in the same folder; then a worker comes that reads it.
        for name in ("model.onnx", "card.json"):
            shutil.copyfile(find_bundle(SHIPPED) / name, bundle / name)
        time.sleep(1)
        killed = server.workers[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in server.workers and len(server.workers) == 2, 30)
        wait_until(lambda: call(server, "GET", "/models")[1]["models"][0]["workers"] == 2, 30)
        assert states(server)["neumo-moving-1"] == "failed"
        assert activate(server, "neumo-moving-1")[1]["code"] == "model_not_usable"
        assert names_by_worker(server, jpeg) == {SHIPPED: 12}
        assert '"bundle_changed"' in server.log_text()
