"""deploy/: Prometheus scrapes a real service; every panel's query runs, and alerts fire.

The alerts themselves are tested by promtool, in time that is made up.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from app.model.bundle import find_bundle
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.images import encode
from tests.server import Server, free_port, running

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
DASHBOARD = json.loads((DEPLOY / "grafana" / "neumo.json").read_text(encoding="utf-8"))
QUERIES = [
    (panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]
]
RULES = ALERTS.read_text(encoding="utf-8")
NAMES = re.findall(r"- alert: (\w+)", RULES)
EXPRESSIONS = [rule["expr"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
TOOLS = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed (apt: prometheus)"
)
NOT_YET = ("neumo_unauthenticated_total", "neumo_shadow_unread_total", "neumo_live_")
"""What a service tells only once it has happened, and doesn't happen here; of feedback, later."""


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@TOOLS
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", DEPLOY / "prometheus" / "prometheus.yml"),
        ("check", "rules", ALERTS),
        ("test", "rules", DEPLOY / "prometheus" / "alerts_test.yml"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_promtool_finds_no_fault(arguments: tuple[object, ...]) -> None:
    result = promtool(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested_and_has_a_paragraph_in_the_runbook(name: str) -> None:
    tested = (DEPLOY / "prometheus" / "alerts_test.yml").read_text(encoding="utf-8")
    assert f'alertname="{name}"' in tested
    (severity,) = re.findall(rf"- alert: {name}\n.*?severity: (\w+)", RULES, re.DOTALL)[:1]
    page = RUNBOOK.read_text(encoding="utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert section.startswith(f"\n*{severity}.* ")
    assert len(section.split()) > 30
    assert f"docs/runbook.md#{name.lower()}\n" in RULES


def test_the_runbook_has_no_alert_that_there_is_not() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(NAMES)


def test_only_metrics_and_labels_that_there_are_are_asked_for() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    known = {
        name: {*re.findall(r"\w+", labels), "instance", "job", "le"}
        for name, labels in re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", page, re.MULTILINE)
    }
    every_label = set().union(*known.values())
    asked = set()
    for query in [query for _, query in QUERIES] + EXPRESSIONS:
        for metric, chosen in re.findall(r"\b((?:neumo|process)_\w+)(?:{([^}]*)})?", query):
            name = re.sub(r"_(bucket|sum|count)$", "", metric)
            asked.add(name)
            assert name in known
            assert set(re.findall(r"(\w+)[=!]", re.sub(r'"[^"]*"', "", chosen))) <= known[name]
        for labels in re.findall(r"\b(?:by|on|ignoring) \(([^)]*)\)", query):
            assert set(re.findall(r"\w+", labels)) <= every_label
    assert len(asked) > 20
    assert set(re.findall(r"\$labels\.(\w+)", RULES)) <= every_label


def test_the_model_that_is_expected_is_the_one_that_is_served_by_default() -> None:
    card = json.loads((find_bundle(Settings().model) / "card.json").read_text(encoding="utf-8"))
    (rule,) = re.findall(r"- alert: NeumoModelNotAsExpected\n.*?sha256=\"(\w+)\"", RULES, re.DOTALL)
    assert rule == card["sha256"]


@dataclass
class Prometheus:
    """A Prometheus that scrapes one service each second."""

    port: int

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a query."""
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=query)["data"]["result"]
        return result

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.get("/api/v1/alerts")["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}


def wait_until(is_so: Callable[[], bool], limit_s: float = 40.0) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, "never so"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that keeps which model is active."""
    return tmp_path_factory.mktemp("choice") / "choice.json"


@pytest.fixture(scope="module")
def server(jpeg: bytes, choice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of two workers with shadow, audit trail and queue, that has read some films."""
    environment = {
        "NEUMO_SHADOW": "neumo-r18-2",
        "NEUMO_MODEL_CHOICE": str(choice),
        "NEUMO_DRIFT_LEAST_FILMS": "20",
        "NEUMO_AUDIT_FOLDER": str(tmp_path_factory.mktemp("audit") / "trail"),
        "NEUMO_EXCHANGE_FOLDER": str(tmp_path_factory.mktemp("exchange") / "queue"),
        "NEUMO_PARTNERS": "dicom://PACS@127.0.0.1:104",
    }
    with running("--workers", "2", environment=environment) as server:
        for number in range(24):  # every fourth of a view that no model knows
            query = "?view=lateral" if number % 4 == 0 else ""
            assert server.call("POST", f"/predict{query}", jpeg)[0] == 200
        yield server


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the project's rules, that waits for nothing before an alert fires."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed (apt: prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    config = config.replace("15s", "1s").replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    at_once = re.sub(r"for: \w+", "for: 0s", RULES)
    (folder / "alerts.yml").write_text(at_once, encoding="utf-8")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, cwd=folder)
    try:
        prometheus = Prometheus(port)

        def is_up() -> bool:
            try:
                return bool(prometheus.ask("count_over_time(neumo_workers[1m]) > 3"))
            except OSError:
                return False

        wait_until(is_up)
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_panel_shows_something(prometheus: Prometheus, title: str, query: str) -> None:
    query = query.replace("$__rate_interval", "30s").replace("$instance", ".*")
    assert "$" not in query
    found = prometheus.ask(query)
    if not any(name in query for name in NOT_YET):
        assert found, title


def test_figures_are_the_services_own(prometheus: Prometheus) -> None:
    (readings,) = prometheus.ask("sum(neumo_readings_total)")
    (films,) = prometheus.ask("sum(neumo_shadow_films_total)")
    (workers,) = prometheus.ask("neumo_workers == neumo_ready_workers")
    assert (readings["value"][1], films["value"][1], workers["value"][1]) == ("24", "24", "2")
    assert len(prometheus.ask("neumo_drift_psi")) == 3
    assert prometheus.ask("neumo_model_info")[0]["metric"]["name"] == "neumo-r18-3"
    (up,) = prometheus.ask("neumo_exchange_up")
    states = prometheus.ask('neumo_exchange_deliveries{partner="1", protocol="dicom"} == 0')
    assert (up["value"][1], len(states)) == ("1", 3), "one queue, however many workers"


def test_nothing_fires_while_all_is_well(prometheus: Prometheus) -> None:
    assert prometheus.firing() == set()


def test_a_worker_that_is_killed_is_told(prometheus: Prometheus, server: Server) -> None:
    os.kill(server.workers[0], signal.SIGKILL)
    wait_until(lambda: "NeumoWorkerReplaced" in prometheus.firing())


def test_a_switch_that_fails_is_told(prometheus: Prometheus, server: Server, choice: Path) -> None:
    choice.parent.rmdir()  # where the choice would be kept
    assert server.call("POST", "/admin/models/neumo-r18-2/activate")[0] == 503
    wait_until(lambda: "NeumoSwitchFailed" in prometheus.firing())


def test_a_flood_of_what_is_no_chest_is_told(prometheus: Prometheus, server: Server) -> None:

    black = encode(Image.new("L", (300, 300), 0), "PNG")
    for _ in range(30):
        assert server.call("POST", "/predict", black)[0] == 422
    wait_until(lambda: "NeumoFilmsRefused" in prometheus.firing())


def test_a_service_that_is_gone_is_told(prometheus: Prometheus, server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "NeumoDown" in prometheus.firing())
