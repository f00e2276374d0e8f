"""A hospital's acceptance in what is served: floors, warnings, what answers tell, the start."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.model.labels import LABEL_IDS
from tests.apps import served
from tests.bundles import make_acceptance, make_certainty
from tests.images import encode
from tests.models import FakeModel

IMAGE = encode(np.full((224, 224), 99, np.uint8), "PNG")
MOSTLY_NORMAL = (0.9, 0.04, 0.03, 0.03)


def write(folder: Path, **changes: object) -> str:
    path = folder / "acceptance.json"
    path.write_text(json.dumps(make_acceptance(**changes)), encoding="utf-8")
    return str(path)


def floors(floor: float) -> dict[str, object]:
    return make_certainty(floors=dict.fromkeys(LABEL_IDS, floor), chosen_on="site")


def ask(client: TestClient) -> list[dict[str, Any]]:
    """Return what each call that reads an image says of it."""
    file = {"file": IMAGE}
    return [
        client.post("/predict", files=file).json(),
        client.post("/predict/batch", files=file).json()["results"][0],
        client.post("/explain?format=json", files=file).json(),
    ]


def codes(told: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in told]


def test_without_one_every_answer_warns() -> None:
    with served(FakeModel(MOSTLY_NORMAL)) as client:
        for answer in ask(client):
            assert codes(answer["warnings"]) == ["population_unknown", "site_not_validated"]
            assert "neumo accept" in answer["warnings"][1]["message"]
            assert "acceptance" not in answer["model"]


def test_with_one_every_answer_tells_whose_and_warns_no_more(tmp_path: Path) -> None:
    path = write(tmp_path, certainty=floors(0.5))
    with served(FakeModel(MOSTLY_NORMAL), acceptance=path) as client:
        for answer in ask(client):
            assert (answer["status"], answer["reasons"]) == ("ok", [])
            assert codes(answer["warnings"]) == ["population_unknown"]
            assert answer["model"]["acceptance"] == {
                "site": "North wing", "date": "2026-11-28", "images": 100, "relied_on": True
            }  # fmt: skip


def test_its_floors_decide(tmp_path: Path) -> None:
    path = write(tmp_path, certainty=floors(0.95))
    with served(FakeModel(MOSTLY_NORMAL), acceptance=path) as client:
        for answer in ask(client):
            assert (answer["status"], codes(answer["reasons"])) == ("uncertain", ["low_confidence"])
        metrics = client.get("/metrics").text
    assert 'neumo_reasons_total{reason="low_confidence"} 3.0' in metrics


def test_one_that_showed_nothing_is_told_and_leaves_the_warning(tmp_path: Path) -> None:
    path = write(tmp_path, certainty=None)
    with served(FakeModel(MOSTLY_NORMAL), acceptance=path) as client:
        for answer in ask(client):
            assert answer["model"]["acceptance"]["relied_on"] is False
            assert codes(answer["warnings"])[-1] == "site_not_validated"


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"acceptance_format": 9}])
def test_one_that_does_not_hold_is_never_served(tmp_path: Path, change: dict[str, object]) -> None:
    path = write(tmp_path, **change)
    with served(FakeModel(MOSTLY_NORMAL), acceptance=path) as client:
        assert client.get("/health/startup").status_code == 503
        assert client.post("/predict", files={"file": IMAGE}).json()["code"] == "not_ready"
