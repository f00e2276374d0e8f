"""``POST /feedback/{request_id}`` and ``GET /performance``: diagnoses come in, figures go out."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.main import create_app
from app.records.store.opening import prepare_records
from app.settings.settings import Settings
from tests.apps import served
from tests.contract.test_problems import check_problem
from tests.models import FakeModel

SHARES = (0.05, 0.8, 0.1, 0.05)
"""Whatever it sees is COVID-19."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    """An application that keeps records, of a model that always says COVID-19."""
    with keeping_records(folder) as client:
        yield client


@contextmanager
def keeping_records(folder: Path, model: FakeModel | None = None) -> Iterator[TestClient]:
    settings = {"audit_folder": str(folder), "audit_flush_ms": 20}
    prepare_records(Settings(**settings))  # as the workers' parent does
    with served(model or FakeModel(SHARES), **settings) as client:
        yield client


def read(client: TestClient, jpeg: bytes, path: str = "/predict") -> str:
    request_id = str(uuid4())
    files = {"file": ("DOE^JOHN.jpg", jpeg)}
    answer = client.post(path, files=files, headers={"X-Request-ID": request_id})
    assert answer.status_code == 200
    return request_id


def tell(client: TestClient, request_id: str, label: object, **more: object) -> Response:
    response: Response = client.post(f"/feedback/{request_id}", json={"label": label} | more)
    return response


def rows(folder: Path, request_id: str) -> list[dict[str, Any]]:
    """Return what stands in the database of a request, once all of it must."""
    time.sleep(0.3)
    with closing(sqlite3.connect(folder / "audit.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(
            "SELECT * FROM audit_row WHERE request_id = ? ORDER BY time", (request_id,)
        )
        return [dict(row) for row in found]


def performance(client: TestClient, films: int) -> dict[str, Any]:
    """Return the figures once they are of so many films."""
    for _ in range(100):
        figures: dict[str, Any] = client.get("/performance").json()
        if figures["films"] == films:
            return figures
        time.sleep(0.05)
    raise AssertionError(figures)


def test_a_diagnosis_is_written_down_beside_its_answer(
    client: TestClient, folder: Path, jpeg: bytes
) -> None:
    request_id = read(client, jpeg)
    response = tell(client, request_id, "covid19", certainty="definite")
    assert response.status_code == 201
    assert response.json() == {
        "request_id": request_id, "index": 0, "truth": ["covid19"], "certainty": "definite",
        "called": "covid19", "status": "ok", "right": True, "replaces": False,
    }  # fmt: skip
    reading, feedback = rows(folder, request_id)
    assert (reading["kind"], reading["label"], reading["call"]) == (
        "reading",
        "covid19",
        "/predict",
    )
    assert json.loads(reading["probabilities"])["covid19"] == pytest.approx(0.8)
    assert (feedback["kind"], feedback["truth"]) == ("feedback", '["covid19"]')


def test_a_later_diagnosis_replaces_by_appending(
    client: TestClient, folder: Path, jpeg: bytes
) -> None:
    request_id = read(client, jpeg)
    before = client.get("/performance").json()["films"]
    assert tell(client, request_id, "covid19").json()["replaces"] is False
    performance(client, before + 1)
    again = tell(client, request_id, "normal").json()
    assert (again["replaces"], again["right"]) == (True, False)
    assert [row["truth"] for row in rows(folder, request_id)[1:]] == ['["covid19"]', '["normal"]']
    figures = performance(client, before + 1)  # still one film
    assert figures["wrong"]["live"]["hits"] >= 1


@pytest.mark.parametrize(
    ("label", "truth", "right"),
    [
        (["viral_pneumonia", "covid19"], ["covid19", "viral_pneumonia"], True),
        (["bacterial_pneumonia", "viral_pneumonia"],
         ["bacterial_pneumonia", "viral_pneumonia"], False),
        ("other", ["other"], False),
    ],
)  # fmt: skip
def test_a_diagnosis_may_be_a_set_or_another_finding(
    client: TestClient, jpeg: bytes, label: object, truth: list[str], right: bool
) -> None:
    taken = tell(client, read(client, jpeg), label).json()
    assert (taken["truth"], taken["right"]) == (truth, right)


def test_of_a_batch_the_file_is_named(client: TestClient, jpeg: bytes) -> None:
    request_id = str(uuid4())
    files = [("file", ("a.jpg", jpeg)), ("file", ("b.jpg", b"")), ("file", ("c.jpg", jpeg))]
    client.post("/predict/batch", files=files, headers={"X-Request-ID": request_id})
    problem = check_problem(tell(client, request_id, "normal"), 409, "feedback_conflict")
    assert problem["reason"] == "several"
    assert tell(client, request_id, "normal", index=2).json()["index"] == 2
    refused = check_problem(tell(client, request_id, "normal", index=1), 409, "feedback_conflict")
    assert (refused["reason"], "empty_upload" in refused["detail"]) == ("not_read", True)
    beyond = check_problem(tell(client, request_id, "normal", index=3), 409, "feedback_conflict")
    assert beyond["reason"] == "index"


def test_a_film_refused_as_no_chest_may_turn_out_to_be_one(tmp_path: Path, jpeg: bytes) -> None:
    model = FakeModel(SHARES, card={"distance_threshold": -1.0})
    with keeping_records(tmp_path, model) as client:
        request_id = str(uuid4())
        answer = client.post("/predict", content=jpeg, headers={"X-Request-ID": request_id})
        check_problem(answer, 422, "not_a_chest_xray")
        taken = tell(client, request_id, "covid19").json()
        assert (taken["called"], taken["right"]) == (None, False)
        live = performance(client, 1)["labels"]["covid19"]["sensitivity"]["live"]
        assert (live["hits"], live["films"]) == (0, 1)


def test_explaining_a_film_changes_nothing_of_its_diagnosis(
    client: TestClient, jpeg: bytes
) -> None:
    request_id = read(client, jpeg)
    client.post("/explain", content=jpeg, headers={"X-Request-ID": request_id})
    assert tell(client, request_id, "covid19").status_code == 201


@pytest.mark.parametrize(
    "request_id", [str(UUID(int=7)), "doe-john", "0" * 200], ids=["unknown", "no id", "too long"]
)
def test_a_request_that_nobody_made(client: TestClient, request_id: str) -> None:
    problem = check_problem(tell(client, request_id, "normal"), 404, "request_unknown")
    assert "doe" not in str(problem)


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "label"), ({"label": "tuberculosis DOE"}, "label"), ({"label": []}, "label"),
        ({"label": ["normal", "normal"]}, "label"), ({"label": ["other"]}, "label"),
        ({"label": "normal", "index": -1}, "index"), ({"label": "normal", "index": "0"}, "index"),
        ({"label": "normal", "certainty": "DOE"}, "certainty"),
        ({"label": "normal", "patient": "DOE^JOHN"}, "body"), ("DOE", "body"),
    ],
)  # fmt: skip
def test_what_is_no_feedback_is_refused_without_quoting_it(
    client: TestClient, jpeg: bytes, body: object, parameter: str
) -> None:
    response = client.post(f"/feedback/{read(client, jpeg)}", json=body)
    problem = check_problem(response, 400, "invalid_parameter")
    assert problem["parameter"] == parameter
    assert "DOE" not in response.text


def test_feedback_is_json_and_small(client: TestClient) -> None:
    path = f"/feedback/{uuid4()}"
    form = client.post(path, data={"label": "normal"})
    assert check_problem(form, 415, "unsupported_media_type")["reason"] == "not_json"
    large = client.post(path, json={"label": "normal", "note": "x" * 5000})
    check_problem(large, 413, "body_too_large")
    broken = client.post(path, content=b"{", headers={"Content-Type": "application/json"})
    check_problem(broken, 400, "invalid_parameter")
    check_problem(client.get(path), 405, "method_not_allowed")


def test_the_route_is_told_and_not_the_id(
    client: TestClient, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = read(client, jpeg)
    caplog.set_level("INFO")
    caplog.clear()
    tell(client, request_id, "covid19")
    (line,) = [record for record in caplog.records if record.name == "neumo.request"]
    assert line.members["route"] == "/feedback/{request_id}"  # type: ignore[attr-defined]
    assert request_id not in client.get("/metrics").text


def test_performance_of_some_days(client: TestClient) -> None:
    figures = client.get("/performance?days=7").json()
    assert (figures["days"], figures["model"]) == (7, "neumo-test-1")
    assert client.get("/performance").json()["days"] == 90
    check_problem(client.get("/performance?days=0"), 400, "invalid_parameter")


def test_live_figures_are_metrics(tmp_path: Path, jpeg: bytes) -> None:
    with keeping_records(tmp_path) as client:
        for label in ("covid19", "covid19", "normal"):
            tell(client, read(client, jpeg), label)
        records = client.app.state.records  # type: ignore[attr-defined]
        records._look_at_s = 0.0  # look now
        for _ in range(200):
            text = client.get("/metrics").text
            if 'neumo_live_wrong{bound="value"} 0.333333' in text:
                break
            time.sleep(0.05)
            records._look_at_s = 0.0
        text = client.get("/metrics").text  # the one before may have been told half-way through
        assert 'neumo_live_sensitivity{bound="value",truth="covid19"} 1.0' in text
        assert 'neumo_live_sensitivity{bound="low",truth="covid19"} 0.158114' in text
        assert 'neumo_live_specificity{bound="value",label="covid19"} 0.0' in text
        assert 'neumo_live_wrong{bound="value"} 0.333333' in text
        assert 'neumo_live_predicted{label="covid19"} 0.8' in text
        assert 'truth="viral_pneumonia",bound' not in text


def test_a_service_without_records_says_so(jpeg: bytes) -> None:
    with served(FakeModel(SHARES)) as client:
        check_problem(tell(client, str(uuid4()), "normal"), 404, "records_off")
        check_problem(client.get("/performance"), 404, "records_off")
        assert client.post("/predict", content=jpeg).status_code == 200


def test_a_database_that_does_not_answer_costs_no_reading(tmp_path: Path, jpeg: bytes) -> None:
    away = "postgresql://nobody@127.0.0.1:9/none"  # port 9 (discard): nobody listens
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with served(FakeModel(SHARES), audit_folder=str(tmp_path), audit_database=away) as client:
        request_id = read(client, jpeg)
        problem = check_problem(tell(client, request_id, "normal"), 503, "records_unavailable")
        assert "nobody" not in str(problem)
        check_problem(client.get("/performance"), 503, "records_unavailable")
        assert client.get("/health/ready").status_code == 200


def test_where_nothing_may_go_unwritten_a_full_spool_refuses(tmp_path: Path, jpeg: bytes) -> None:
    app = create_app(
        Settings(audit_folder=str(tmp_path), audit_when_full="refuse"),
        load_model=lambda _: FakeModel(SHARES),
        load_before_serving=True,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/health/ready").status_code == 200
        writer = app.state.records.trail._writer
        writer._most_bytes = 0
        client.post("/predict", content=jpeg)
        for _ in range(100):
            if writer.full:
                break
            time.sleep(0.02)
        check_problem(client.get("/health/ready"), 503, "records_full")
        answer = client.post("/predict", content=jpeg)
        assert check_problem(answer, 503, "records_full")["status"] == 503
        assert answer.headers["retry-after"] == "5"
        writer._most_bytes = 2**20
        for _ in range(100):
            if not writer.full:
                break
            time.sleep(0.02)
        assert client.post("/predict", content=jpeg).status_code == 200
