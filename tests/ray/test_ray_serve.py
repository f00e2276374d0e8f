"""deploy/ray on a cluster of this machine: answers, scaling, a kill, updates; calls counted."""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.ray.archive import NEEDS_RAY, commands, wait_until
from tests.server import ONE_WORKER_AT_ONCE, Server, free_port, running

pytestmark = [NEEDS_RAY, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
FOLDER = ROOT / "deploy" / "ray"
LIMIT_S = 180
CALLERS = 12


def config(port: int, model: str) -> dict[str, Any]:
    """Return deploy/ray/neumo.yaml for two replicas at most, and without its patience."""
    import yaml  # noqa: PLC0415 - comes with Ray

    told: dict[str, Any] = copy.deepcopy(yaml.safe_load((FOLDER / "neumo.yaml").read_text()))
    told["http_options"]["port"] = port
    (deployment,) = told["applications"][0]["deployments"]
    deployment["ray_actor_options"]["runtime_env"]["env_vars"]["NEUMO_MODEL"] = model
    deployment["autoscaling_config"] |= {
        "max_replicas": 2,
        "upscale_delay_s": 1,
        "downscale_delay_s": 5,
        "look_back_period_s": 11,
    }
    deployment["health_check_period_s"] = 1
    return told


@dataclass
class Service:
    """Neumo on Ray Serve."""

    place: Path
    address: str
    port: int

    def deploy(self, model: str) -> None:
        """Give the cluster the configuration with a model."""
        path = self.place / "neumo.yaml"
        path.write_text(json.dumps(config(self.port, model)))  # JSON is YAML
        serve = [str(Path(sys.executable).parent / "serve"), "run", "--non-blocking"]
        done = subprocess.run(
            [*serve, "--address", self.address, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stderr

    @property
    def replicas(self) -> list[int]:
        """The processes of replicas."""
        return [pid for pid, told in commands().items() if "ServeReplica:neumo:Neumo" in told]

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one request."""
        told = Server(None, self.port, self.place)  # type: ignore[arg-type] - only its address
        return told.call(method, path, body, headers)

    def predict(self, image: bytes) -> int:
        """Return the status of one film; 0 if the connection broke."""
        try:
            return self.call("POST", "/predict", image)[0]
        except OSError:
            return 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    from app.score.engines.ray_cluster import joined  # noqa: PLC0415 - Ray is not everywhere

    with pytest.MonkeyPatch.context() as patch, ExitStack() as held:
        patch.setenv("PYTHONPATH", str(FOLDER))  # where nodes look for neumo_serve
        held.enter_context(joined(None, 4))
        import ray  # noqa: PLC0415

        address = ray.get_runtime_context().gcs_address
        service = Service(tmp_path_factory.mktemp("serve"), address, free_port())
        service.deploy("neumo-r18-3")
        wait_until("it serves", lambda: service.call("GET", "/health/ready")[0] == 200, LIMIT_S)
        yield service


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    with running(environment=ONE_WORKER_AT_ONCE) as server:
        yield server


@dataclass
class Callers:
    """Threads that have one film read after the other, and count what they are answered."""

    service: Service
    image: bytes
    statuses: Counter[int] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def calling(self, threads: int) -> Iterator["Callers"]:
        """Call until the context ends."""
        ended, lock = threading.Event(), threading.Lock()

        def call() -> None:
            while not ended.is_set():
                try:
                    status, _, body = self.service.call("POST", "/predict", self.image)
                except OSError:
                    status, body = 0, b"{}"
                with lock:
                    self.statuses[status] += 1
                    self.models[json.loads(body).get("model", {}).get("name", "")] += 1

        callers = [threading.Thread(target=call) for _ in range(threads)]
        for caller in callers:
            caller.start()
        try:
            yield self
        finally:
            ended.set()
            for caller in callers:
                caller.join()


def test_it_answers_as_neumo_serve_does(
    service: Service, alone: Server, examples: dict[str, Path]
) -> None:
    def answers(ask: Callable[..., tuple[int, dict[str, str], bytes]]) -> list[Any]:
        told = []
        for image in examples.values():
            status, _, body = ask("POST", "/predict?age_years=60", image.read_bytes())
            told.append((status, without_request(json.loads(body))))
        for path in ("/health/live", "/health/ready", "/v2", "/v2/models/neumo-r18-3", "/model"):
            status, _, body = ask("GET", path)
            told.append((path, status, json.loads(body)))
        inputs = [{"name": "image", "shape": [1, 1, 224, 224], "datatype": "UINT8"}]
        inputs[0]["data"] = [number % 251 for number in range(224 * 224)]
        infer = json.dumps({"inputs": inputs}).encode()
        status, _, body = ask("POST", "/v2/models/neumo-r18-3/infer", infer)
        told.append((status, without_request(json.loads(body))))
        for method, path, film in (
            ("POST", "/predict", b"no film"),
            ("GET", "/nowhere", None),
            ("GET", "/predict", None),
        ):
            status, headers, body = ask(method, path, film)
            told.append((path, status, headers["content-type"], json.loads(body)["code"]))
        return told

    assert answers(service.call) == answers(alone.call)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: neumo\r\nContent-Length: 40000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(13) == b"HTTP/1.1 413 "


def without_request(answer: dict[str, Any]) -> dict[str, Any]:
    """Leave out what names the one request, and how long it took."""
    its_own = ("request_id", "id", "timing_ms")
    return {name: told for name, told in answer.items() if name not in its_own}


def test_a_replica_that_is_killed_is_replaced(service: Service, jpeg: bytes) -> None:
    before = service.replicas
    os.kill(before[0], signal.SIGKILL)
    wait_until("another reads", lambda: service.predict(jpeg) == 200, LIMIT_S)
    wait_until("it is another", lambda: bool(set(service.replicas) - set(before)), LIMIT_S)


def test_under_load_there_are_more_replicas_and_after_it_fewer(
    service: Service, jpeg: bytes
) -> None:
    wait_until("one replica", lambda: len(service.replicas) == 1, LIMIT_S)
    with Callers(service, jpeg).calling(CALLERS) as callers:
        wait_until("two replicas", lambda: len(service.replicas) == 2, LIMIT_S)
        before = callers.statuses.total()
        wait_until("both read", lambda: callers.statuses.total() > before + 100, LIMIT_S)
        assert len(service.replicas) == 2  # and no more than max_replicas
    assert set(callers.statuses) == {200}
    wait_until("one replica", lambda: len(service.replicas) == 1, LIMIT_S)


def test_an_update_of_the_model_loses_no_request(service: Service, jpeg: bytes) -> None:
    with Callers(service, jpeg).calling(2) as callers:
        wait_until("some", lambda: callers.models["neumo-r18-3"] > 20, LIMIT_S)
        service.deploy("neumo-r18-2")
        wait_until("the other reads", lambda: callers.models["neumo-r18-2"] > 20, LIMIT_S)
        told = list(callers.models)
    assert set(callers.statuses) == {200}, callers.statuses
    assert told == ["neumo-r18-3", "neumo-r18-2"]
    wait_until("the former ends", lambda: len(service.replicas) == 1, LIMIT_S)


def test_a_model_that_cannot_be_served_replaces_none(service: Service, jpeg: bytes) -> None:
    from ray import serve  # noqa: PLC0415

    with Callers(service, jpeg).calling(1) as callers:
        service.deploy("nowhere")
        wait_until(
            "it is said",
            lambda: serve.status().applications["neumo"].status in ("DEPLOY_FAILED", "UNHEALTHY"),
            LIMIT_S,
        )
    assert set(callers.statuses) == {200}, callers.statuses
    assert set(callers.models) == {"neumo-r18-2"}
