"""Health, the card and metrics."""

import re
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.model.bundle import find_bundle
from app.model.session import Model
from app.service.service import Phase, load_model_from
from app.settings.settings import Settings
from tests.conftest import wait_until_ready


@pytest.mark.parametrize("check", ["live", "ready", "startup"])
def test_a_ready_service_is_healthy(client: TestClient, check: str) -> None:
    response = client.get(f"/health/{check}")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert client.head(f"/health/{check}").status_code == 200


def test_while_the_model_loads_it_is_live_but_not_ready() -> None:
    gate = threading.Event()

    def load_late(settings: Settings) -> Model:
        gate.wait(20)
        return load_model_from(settings)

    with TestClient(create_app(Settings(), load_model=load_late)) as client:
        assert client.get("/health/live").status_code == 200
        for check in ("ready", "startup"):
            response = client.get(f"/health/{check}")
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        gate.set()
        wait_until_ready(client)
        assert client.get("/health/startup").status_code == 200


def test_while_it_drains_it_says_it_is_not_ready_but_answers(jpeg: bytes) -> None:
    app = create_app(Settings())
    with TestClient(app) as client:
        wait_until_ready(client)
        app.state.service.drain()
        assert client.get("/health/ready").status_code == 503
        for check in ("live", "startup"):
            assert client.get(f"/health/{check}").status_code == 200
        assert client.post("/predict", content=jpeg).status_code == 200


def test_metrics_tell_whether_it_is_ready() -> None:
    app = create_app(Settings())
    with TestClient(app) as client:
        wait_until_ready(client)
        assert value_of(client.get("/metrics").text, "neumo_ready_workers") == 1
        app.state.service.drain()
        assert value_of(client.get("/metrics").text, "neumo_ready_workers") == 0


def test_while_it_stops_it_is_not_ready() -> None:
    app = create_app(Settings())
    with TestClient(app) as client:
        wait_until_ready(client)
        app.state.service.phase = Phase.STOPPING
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503
        assert client.post("/predict", content=b"x").json()["code"] == "not_ready"


def test_a_model_that_can_not_be_served_is_told_to_whoever_started_it() -> None:
    failed = threading.Event()
    settings = Settings(model="no-such-bundle-1")
    with TestClient(create_app(settings, on_failure=failed.set)) as client:
        assert failed.wait(10)
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/startup").status_code == 503


def test_the_card_is_served_as_it_lies_in_the_bundle(client: TestClient) -> None:
    card = (find_bundle(Settings().model) / "card.json").read_bytes()
    response = client.get("/model")
    assert response.headers["content-type"] == "application/json"
    assert response.content == card


def value_of(metrics: str, series: str) -> float:
    """Return a series' value from Prometheus' text; 0 where it doesn't stand yet."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_requests_stages_refusals_and_readings(
    client: TestClient, examples: dict[str, Path]
) -> None:
    series = [
        'neumo_requests_total{method="POST",route="/predict",status="200"}',
        'neumo_requests_total{method="POST",route="/predict",status="400"}',
        'neumo_stage_seconds_count{stage="decode"}',
        'neumo_stage_seconds_count{stage="inference"}',
        'neumo_refusals_total{code="empty_upload"}',
        'neumo_readings_total{label="covid19",status="ok"}',
        'neumo_request_seconds_count{route="/predict"}',
    ]
    before = client.get("/metrics").text
    client.post("/predict", files={"file": examples["covid19"].read_bytes()})
    client.post("/predict", files={"file": b""})
    after = client.get("/metrics").text
    grown = [value_of(after, name) - value_of(before, name) for name in series]
    assert grown == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    "call",
    ["/predict", "/predict?heatmap=true", "/explain", "/explain?format=json", "/predict/batch"],
)
def test_every_door_counts_its_readings_alike(
    client: TestClient, examples: dict[str, Path], call: str
) -> None:
    series = [
        'neumo_readings_total{label="covid19",status="ok"}',
        'neumo_stage_seconds_count{stage="decode"}',
        'neumo_stage_seconds_count{stage="inference"}',
    ]
    before = client.get("/metrics").text
    answer = client.post(call, files={"file": examples["covid19"].read_bytes()})
    assert answer.status_code == 200
    after = client.get("/metrics").text
    grown = [value_of(after, name) - value_of(before, name) for name in series]
    assert grown == [1, 1, 1]


def test_metrics_name_the_model(client: TestClient) -> None:
    card = client.get("/model").json()
    text = client.get("/metrics").text
    labels = f'name="{card["name"]}",sha256="{card["sha256"]}",version="{card["version"]}"'
    assert value_of(text, f"neumo_model_info{{{labels}}}") == 1


def test_metrics_hold_nothing_that_a_caller_sent(client: TestClient) -> None:
    client.get("/patients/DOE-JOHN?born=1970", headers={"User-Agent": "DOE-JOHN"})
    client.request("DOEJOHN", "/predict")
    text = client.get("/metrics").text
    assert "DOE" not in text
    assert value_of(
        text, 'neumo_requests_total{method="GET",route="unmatched",status="404"}'
    ) >= 1  # fmt: skip
