"""neumo_client.answers: what is loaded, what is left out, what is refused rather than misread."""

import dataclasses
import pickle
from typing import Any, get_args, get_type_hints

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from app.http.dicomweb import film_readings
from app.model.measured.acceptance_file import AcceptanceSummary
from app.render import reading_json
from neumo_client import (
    Acceptance,
    ActivationMap,
    Dicom,
    Explanation,
    FilmReading,
    GreyWindow,
    Heatmap,
    Image,
    ModelReference,
    Reading,
    Remark,
    ResultReference,
    SchemaUnknown,
    Subject,
    Timing,
    UnexpectedAnswer,
)
from neumo_client.answers import KNOWN_SCHEMA, load_answer

SERVED = {
    Reading: reading_json.Reading, Explanation: reading_json.Explanation,
    Heatmap: reading_json.Heatmap, ActivationMap: reading_json.ActivationMap,
    Timing: reading_json.Timing, ModelReference: reading_json.ModelReference,
    Image: reading_json.Image, Dicom: reading_json.Dicom, GreyWindow: reading_json.GreyWindow,
    Acceptance: AcceptanceSummary, Subject: reading_json.Subject,
    FilmReading: film_readings.FilmReading, ResultReference: film_readings.ResultReference,
}  # fmt: skip


@pytest.fixture(scope="module")
def told(client: TestClient, jpeg: bytes) -> dict[str, Any]:
    """A Reading as the service answers it."""
    answer: dict[str, Any] = client.post("/predict?heatmap=true", content=jpeg).json()
    return answer


@pytest.mark.parametrize("kind", SERVED)
def test_each_class_has_the_members_that_the_service_gives(kind: Any) -> None:  # noqa: ANN401
    served: type[BaseModel] = SERVED[kind]
    members = {each.name: each for each in dataclasses.fields(kind) if each.name != "raw"}
    assert set(members) == set(served.model_fields), "client/ and app/render/ have parted"
    optional = {name for name, each in members.items() if each.default is None}
    left_out = {
        name
        for name, each in served.model_fields.items()
        if type(None) in get_args(each.annotation)
    }
    assert left_out <= optional


def test_reasons_and_warnings_have_one_shape() -> None:
    for served in (reading_json.Caution, reading_json.Reason):
        assert set(served.model_fields) == set(get_type_hints(Remark))
    assert reading_json.SCHEMA_VERSION == KNOWN_SCHEMA


def test_a_reading_holds_what_was_told(told: dict[str, Any]) -> None:
    reading = load_answer(Reading, told)
    assert (reading.label, reading.status, reading.certain) == ("normal", "ok", True)
    assert reading.probabilities == told["probabilities"]
    assert reading.warnings[0] == Remark("population_unknown", told["warnings"][0]["message"])
    assert reading.image.width == told["image"]["width"] == 512
    assert reading.timing_ms.total == told["timing_ms"]["total"]
    assert reading.heatmap is not None
    assert reading.heatmap.map.cam[0][0] == told["heatmap"]["map"]["cam"][0][0]
    assert reading.raw == told


def test_what_is_kept_or_sent_on_is_the_same(told: dict[str, Any]) -> None:
    reading = load_answer(Reading, told)
    assert pickle.loads(pickle.dumps(reading)) == reading  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        reading.label = "covid19"  # type: ignore[misc]
    assert told["heatmap"]["png_base64"][:20] not in repr(reading)


def test_an_uncertain_reading_is_not_certain(told: dict[str, Any]) -> None:
    for status in ("uncertain", "a_new_one"):
        assert not load_answer(Reading, told | {"status": status}).certain


def test_what_a_newer_service_adds_is_left_out_and_stays_in_raw(told: dict[str, Any]) -> None:
    newer = told | {
        "a_new_member": {"x": 1},
        "label": "tuberculosis",
        "image": told["image"] | {"also": "this"},
        "reasons": [{"code": "a_new_reason", "message": "why", "weight": 0.5}],
    }
    reading = load_answer(Reading, newer)
    assert reading.label == "tuberculosis"
    assert reading.reasons == (Remark("a_new_reason", "why"),)
    assert reading.raw["a_new_member"] == {"x": 1}


def test_a_schema_whose_members_mean_something_else_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(SchemaUnknown, match="schema 2"):
        load_answer(Reading, told | {"schema_version": 2})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"label": 3}, "Reading.label"),
        ({"abnormal": "0.5"}, "Reading.abnormal"),
        ({"reasons": {}}, "Reading.reasons"),
        ({"reasons": ["why"]}, "Reading.reasons"),
        ({"probabilities": [0.5]}, "Reading.probabilities"),
        ({"probabilities": {"normal": None}}, "Reading.probabilities"),
        ({"image": None}, "Reading.image"),
        ({"image": {}}, "Reading.image.format"),
        ({"timing_ms": {"decode": 1, "inference": 2}}, "Reading.timing_ms.total"),
    ],
)
def test_what_is_no_reading_is_refused_by_the_members_name(
    told: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnexpectedAnswer, match=named):
        load_answer(Reading, told | change)


@pytest.mark.parametrize("member", ["label", "status", "warnings", "schema_version", "model"])
def test_a_member_that_is_missing_is_refused(told: dict[str, Any], member: str) -> None:
    less = {name: value for name, value in told.items() if name != member}
    with pytest.raises(UnexpectedAnswer, match=member):
        load_answer(Reading, less)


def test_whole_numbers_are_numbers_too(told: dict[str, Any]) -> None:
    assert load_answer(Reading, told | {"abnormal": 1}).abnormal == 1.0


def test_a_film_that_waits_and_one_that_was_read(told: dict[str, Any]) -> None:
    known = {"id": "x", "state": "waiting", "received_at": "2026-11-28T12:30:15+00:00"}
    waits = load_answer(FilmReading, known | {"results": []})
    assert (waits.waits, waits.reading, waits.results) == (True, None, ())
    results = [{"kind": "sr", "uid": "2.25.1", "media_type": "application/dicom"}]
    whole = known | {"state": "read", "reading": told, "results": results}
    read = load_answer(FilmReading, whole)
    assert not read.waits
    assert read.reading is not None
    assert read.reading.probabilities == told["probabilities"]
    assert read.results == (ResultReference("sr", "2.25.1", "application/dicom"),)
    assert read.raw == whole


def test_a_schema_of_its_reading_that_means_something_else_is_refused(told: dict[str, Any]) -> None:
    reading = told | {"schema_version": KNOWN_SCHEMA + 1}
    known = {"id": "x", "state": "read", "received_at": "", "results": [], "reading": reading}
    with pytest.raises(SchemaUnknown):
        load_answer(FilmReading, known)
