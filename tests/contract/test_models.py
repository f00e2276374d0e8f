"""Several models behind one service: what is told of them, switching, rolling back, metrics."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app.errors import BundleHashMismatch
from app.main import create_app
from app.model.labels import LABEL_IDS
from app.model.measured.reference import Reference
from app.model.session import Model, Outputs, Pixels
from app.service.active.shadow import Comparison
from app.settings.settings import Settings
from tests.apps import wait_until
from tests.bundles import make_acceptance
from tests.contract.test_health import value_of
from tests.models import FakeModel

A, B, BAD = "neumo-a-1", "neumo-b-1", "neumo-bad-1"
NORMAL, COVID = (0.97, 0.01, 0.01, 0.01), (0.01, 0.97, 0.01, 0.01)
HISTOGRAM = {"edges": [0.5], "counts": [50, 50]}
REFERENCE = Reference.model_validate(
    {
        "images": 100,
        "distance": HISTOGRAM,
        "confidence": HISTOGRAM,
        "labels": dict.fromkeys(LABEL_IDS, 25),
    }
)


def make_models() -> dict[str, Model]:
    """Two models that never agree; each card has a hash of its own."""
    return {
        A: FakeModel(NORMAL, card={"name": A, "sha256": "a" * 64}),
        B: FakeModel(
            COVID, card={"name": B, "sha256": "b" * 64, "reference": REFERENCE.model_dump()}
        ),
    }


@contextmanager
def served(held: Mapping[str, Model], **settings: Any) -> Iterator[TestClient]:  # noqa: ANN401
    """Serve A, with B and a broken bundle beside it."""

    def load(settings: Settings) -> Model:
        if settings.model not in held:
            raise BundleHashMismatch(bundle=settings.model, file="model.onnx")
        return held[settings.model]

    given = Settings(**{"model": A, "models": f"{B},{BAD}"} | settings)
    app = create_app(given, load, load_before_serving=True)
    # Where nobody is asked who calls, only this machine, by its own name, may administer.
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def models() -> dict[str, Model]:
    return make_models()


@pytest.fixture
def client(models: dict[str, Model]) -> Iterator[TestClient]:
    with served(models) as client:
        yield client


def told(client: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/models").json()
    return answer


def states(client: TestClient) -> dict[str, str]:
    return {each["name"]: each["state"] for each in told(client)["models"]}


def name_in(answer: Any) -> str:  # noqa: ANN401 - a response
    name: str = answer.json()["model"]["name"]
    return name


def test_every_model_is_told_with_its_state(client: TestClient) -> None:
    answer = told(client)
    assert (answer["active"], answer["switches"], answer["workers"]) == (A, 0, 1)
    assert "former" not in answer
    assert states(client) == {A: "active", B: "loaded", BAD: "failed"}
    by_name = {each["name"]: each for each in answer["models"]}
    assert by_name[A]["sha256"] == "a" * 64
    assert (by_name[B]["card_name"], by_name[B]["version"]) == (B, "1")
    assert by_name[BAD]["failure"] == "bundle_hash_mismatch"
    assert "another sha256" in by_name[BAD]["failure_detail"]
    assert "sha256" not in by_name[BAD]


def test_what_failed_is_told_in_the_callers_language(client: TestClient) -> None:
    answer = client.get("/models", headers={"Accept-Language": "es"}).json()
    assert "distinto" in answer["models"][2]["failure_detail"]


def test_another_model_answers_once_it_is_activated(client: TestClient, jpeg: bytes) -> None:
    before = client.post("/predict", content=jpeg).json()
    assert (before["model"]["name"], before["label"]) == (A, "normal")
    answer = client.post(f"/admin/models/{B}/activate")
    assert answer.status_code == 200
    assert (answer.json()["active"], answer.json()["former"]) == (B, A)
    after = client.post("/predict", content=jpeg).json()
    assert (after["model"]["name"], after["label"]) == (B, "covid19")
    assert client.get("/model").json()["name"] == B
    assert states(client) == {A: "loaded", B: "active", BAD: "failed"}


def test_rollback_goes_to_the_one_before_and_back(client: TestClient, jpeg: bytes) -> None:
    client.post(f"/admin/models/{B}/activate")
    assert client.post("/admin/models/rollback").json()["active"] == A
    assert name_in(client.post("/predict", content=jpeg)) == A
    assert client.post("/admin/models/rollback").json()["active"] == B
    assert name_in(client.post("/predict", content=jpeg)) == B
    assert told(client)["switches"] == 3


def test_where_none_was_before_there_is_nothing_to_roll_back_to(client: TestClient) -> None:
    answer = client.post("/admin/models/rollback")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_former_model")


def test_a_name_that_is_not_held_is_not_found_nor_repeated(client: TestClient) -> None:
    answer = client.post("/admin/models/DOE-JOHN/activate")
    assert (answer.status_code, answer.json()["code"]) == (404, "model_unknown")
    assert "DOE" not in answer.text + client.get("/metrics").text


@pytest.mark.parametrize("path", [f"/admin/models/{B}/activate", "/admin/models/rollback"])
def test_a_switch_is_a_post(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert told(client)["switches"] == 0


def test_a_bundle_that_failed_never_becomes_active(client: TestClient, jpeg: bytes) -> None:
    answer = client.post(f"/admin/models/{BAD}/activate")
    assert (answer.status_code, answer.json()["code"]) == (409, "model_not_usable")
    assert answer.json()["failure"] == "bundle_hash_mismatch"
    assert name_in(client.post("/predict", content=jpeg)) == A
    assert states(client)[A] == "active"


def test_a_bundle_that_was_mended_is_loaded_by_the_switch(
    client: TestClient, models: dict[str, Model], jpeg: bytes
) -> None:
    models[BAD] = FakeModel(NORMAL, card={"name": BAD})
    assert client.post(f"/admin/models/{BAD}/activate").status_code == 200
    assert name_in(client.post("/predict", content=jpeg)) == BAD
    assert states(client) == {A: "loaded", B: "loaded", BAD: "active"}


def test_a_batch_that_began_before_is_read_by_the_model_it_began_with(jpeg: bytes) -> None:
    models = make_models()
    begun, go_on = threading.Event(), threading.Event()

    class Held(FakeModel):
        def run(self, pixels: Pixels) -> Outputs:
            begun.set()
            assert go_on.wait(20)
            return super().run(pixels)

    models[A] = Held(NORMAL, card={"name": A})
    answers: list[Any] = []
    with served(models, threads=1) as client:
        files = [("files", jpeg)] * 3

        def post() -> None:
            answers.append(client.post("/predict/batch", files=files))

        posting = threading.Thread(target=post)
        posting.start()
        assert begun.wait(10)
        assert client.post(f"/admin/models/{B}/activate").json()["active"] == B
        go_on.set()
        posting.join(20)
        assert name_in(client.post("/predict", content=jpeg)) == B
    results = answers[0].json()["results"]
    assert [each["model"]["name"] for each in results] == [A, A, A]


def test_a_reading_and_its_map_are_of_one_model(client: TestClient, jpeg: bytes) -> None:
    client.post(f"/admin/models/{B}/activate")
    answer = client.post("/predict?heatmap=true", content=jpeg).json()
    assert (answer["model"]["name"], answer["heatmap"]["map"]["label"]) == (B, "covid19")


def test_a_switch_is_kept_for_the_next_start(tmp_path: Path, jpeg: bytes) -> None:
    kept = str(tmp_path / "choice.json")
    with served(make_models(), model_choice=kept) as client:
        assert told(client)["kept"] is True
        client.post(f"/admin/models/{B}/activate")
    with served(make_models(), model_choice=kept) as client:
        assert (told(client)["active"], told(client)["former"]) == (B, A)
        assert name_in(client.post("/predict", content=jpeg)) == B
        assert client.post("/admin/models/rollback").json()["active"] == A


def test_without_a_file_for_it_the_next_start_is_as_the_settings_say(client: TestClient) -> None:
    client.post(f"/admin/models/{B}/activate")
    assert told(client)["kept"] is False
    with served(make_models()) as again:
        assert told(again)["active"] == A


def test_a_setting_that_is_newer_than_the_choice_wins(tmp_path: Path) -> None:
    kept = str(tmp_path / "choice.json")
    with served(make_models(), model_choice=kept) as client:
        client.post(f"/admin/models/{B}/activate")
        client.post(f"/admin/models/{A}/activate")
    with served(make_models(), model_choice=kept, model=B, models=A) as client:
        assert told(client)["active"] == B


def test_a_choice_that_is_held_no_more_gives_way_to_the_setting(tmp_path: Path) -> None:
    kept = str(tmp_path / "choice.json")
    with served(make_models(), model_choice=kept) as client:
        client.post(f"/admin/models/{B}/activate")
    with served(make_models(), model_choice=kept, models="") as client:
        assert told(client)["active"] == A


def test_a_choice_that_can_not_be_kept_is_no_switch(tmp_path: Path, jpeg: bytes) -> None:
    with served(make_models(), model_choice=str(tmp_path / "none" / "choice.json")) as client:
        answer = client.post(f"/admin/models/{B}/activate")
        assert (answer.status_code, answer.json()["code"]) == (503, "switch_failed")
        assert answer.json()["reason"] == "not_kept"
        assert "NEUMO_MODEL_CHOICE" in answer.json()["detail"]
        assert name_in(client.post("/predict", content=jpeg)) == A


def acceptance(sha256: str, site: str) -> str:
    return json.dumps(make_acceptance(sha256=sha256, site=site))


@pytest.mark.parametrize("where", ["folder", "files"])
def test_each_model_has_the_acceptance_of_its_own(tmp_path: Path, jpeg: bytes, where: str) -> None:
    folder = tmp_path / "accepted"
    folder.mkdir()
    for name, sha256 in (("a", "a" * 64), ("b", "b" * 64)):
        (folder / f"{name}.json").write_text(acceptance(sha256, f"site {name}"), encoding="utf-8")
    named = str(folder) if where == "folder" else f"{folder}/a.json, {folder}/b.json"
    with served(make_models(), acceptance=named) as client:
        sites = [each.get("acceptance", {}).get("site") for each in told(client)["models"]]
        assert sites == ["site a", "site b", None]
        assert client.post("/predict", content=jpeg).json()["model"]["acceptance"]["site"] == (
            "site a"
        )
        client.post(f"/admin/models/{B}/activate")
        assert client.post("/predict", content=jpeg).json()["model"]["acceptance"]["site"] == (
            "site b"
        )


def test_a_file_in_a_folder_that_fits_no_model_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(acceptance("c" * 64, "old"), encoding="utf-8")
    with served(make_models(), acceptance=str(tmp_path)) as client:
        assert "acceptance" not in told(client)["models"][0]


def test_a_file_that_is_named_and_fits_no_model_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "strange.json"
    path.write_text(acceptance("c" * 64, "strange"), encoding="utf-8")
    with served(make_models(), acceptance=str(path)) as client:
        assert client.get("/health/ready").status_code == 503
        assert client.get("/models").json()["code"] == "not_ready"


def metrics_of(client: TestClient) -> str:
    return client.get("/metrics").text


def test_metrics_tell_the_active_model_and_every_state(client: TestClient) -> None:
    client.post(f"/admin/models/{B}/activate")
    text = metrics_of(client)
    assert [line for line in text.splitlines() if line.startswith("neumo_model_info{")] == [
        f'neumo_model_info{{name="{B}",sha256="{"b" * 64}",version="1"}} 1.0'
    ]
    assert value_of(text, f'neumo_model_state{{model="{B}",state="active"}}') == 1
    assert value_of(text, f'neumo_model_state{{model="{A}",state="active"}}') == 0
    assert value_of(text, f'neumo_model_state{{model="{BAD}",state="failed"}}') == 1


def test_switches_are_counted_by_how_they_ended(client: TestClient) -> None:
    for call in (f"{B}/activate", f"{BAD}/activate", "rollback"):
        client.post(f"/admin/models/{call}")
    text = metrics_of(client)
    assert value_of(text, 'neumo_model_switches_total{outcome="done"}') == 2
    assert value_of(text, 'neumo_model_switches_total{outcome="model_not_usable"}') == 1


def test_the_shadow_reads_what_the_active_model_reads(jpeg: bytes) -> None:
    models = make_models()
    with served(models, models="", shadow=B) as client:
        assert states(client) == {A: "active", B: "shadow"}
        compared: list[Comparison] = []
        client.app.state.service.models.listeners.append(compared.append)  # type: ignore[attr-defined]
        ids = []
        for _ in range(3):
            answer = client.post("/predict", content=jpeg).json()
            assert answer["model"]["name"] == A
            ids.append(answer["request_id"])
        differ = 'neumo_shadow_films_total{same_label="false",same_status="true"}'
        wait_until(lambda: value_of(metrics_of(client), differ) == 3)
        text = metrics_of(client)
        assert [each.request_id for each in compared] == ids
        assert {(each.active.name, each.shadow.name) for each in compared} == {(A, B)}
        assert value_of(text, "neumo_shadow_difference_sum") == pytest.approx(3 * 0.96, abs=1e-3)
        client.post(f"/admin/models/{B}/activate")  # it has nothing to read along with now
        assert states(client) == {A: "loaded", B: "active"}
        client.post("/predict", content=jpeg)
        time.sleep(0.1)
        assert value_of(metrics_of(client), differ) == 3


def test_drift_is_of_the_active_models_films(jpeg: bytes) -> None:
    with served(make_models(), model=B, models=A, drift_least_films=20) as client:
        for _ in range(19):
            client.post("/predict", content=jpeg)
        text = metrics_of(client)
        assert value_of(text, f'neumo_drift_films{{model="{B}"}}') == 19
        assert f'neumo_drift_psi{{model="{B}"' not in text
        client.post("/predict", content=jpeg)
        text = metrics_of(client)
        for of in ("distance", "confidence", "labels"):
            # All of one label and one distance: nothing like the reference.
            assert value_of(text, f'neumo_drift_psi{{model="{B}",of="{of}"}}') > 0.25


def test_warnings_distances_and_confidences_are_counted(jpeg: bytes) -> None:
    models = {A: FakeModel(NORMAL, card={"name": A, "distance_threshold": 4.0})}
    with served(models, models="") as client:
        client.post("/predict", content=jpeg)
        text = metrics_of(client)
    assert value_of(text, 'neumo_warnings_total{warning="site_not_validated"}') == 1
    assert value_of(text, 'neumo_distance_bucket{le="0.1"}') == 1
    assert value_of(text, 'neumo_confidence_bucket{le="0.95"}') == 0
    assert value_of(text, 'neumo_confidence_bucket{le="0.98"}') == 1


def test_openmetrics_is_answered_to_who_asks_for_it(client: TestClient) -> None:
    asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"
    answer = client.get("/metrics", headers={"Accept": asked})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {
        "neumo_requests",
        "neumo_model_info",
        "process_cpu_seconds",
        "neumo_build_info",
    } <= names
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "# EOF" not in plain.text
