"""``GET /readings/{id}``: one stored reading, in the shape that Accept names."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

if not util.find_spec("highdicom"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from pydicom import dcmread

from app.records.outbox.film_queue import drop_content
from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_database import QueueDatabase
from app.records.outbox.queue_entries import Outcome
from app.render.hospital.result_set import Result, make_results
from app.render.hospital.source_image import read_source_image
from app.render.reading_json import render_reading
from tests.app.render.hospital.results import MADE_AT, STUDY, read
from tests.apps import served
from tests.contract.stow import numbered, open_outbox, store, storing, uid_of
from tests.contract.test_problems import check_problem
from tests.models import FakeModel

READ, WAITS, REFUSED, FAILED, EMPTIED = range(5)
LIST = (
    "application/json, application/dicom, application/fhir+json, application/hl7-v2, "
    "x-application/hl7-v2+er7"
)


@dataclass
class Kept:
    """A service with films in each state, and the results of the one that was read."""

    client: TestClient
    outbox: Outbox
    results: dict[str, Result]
    film_id: str

    def get(self, number: int, accept: str | None = None, query: str = "") -> Response:
        headers = {} if accept is None else {"Accept": accept}
        response: Response = self.client.get(f"/readings/{uid_of(number)}{query}", headers=headers)
        return response


def finish(outbox: Outbox, number: int, outcome: Outcome, code: str | None = None) -> list[Result]:
    """Read the film that is next, as the process that reads does."""
    film = outbox.take()
    assert film is not None
    assert film.sop_uid == uid_of(number)
    results, reading = [], None
    if outcome == "read":
        data = outbox.film(film.id)
        made = read(data)
        results = make_results(made, read_source_image(data), "en", MADE_AT)
        reading = render_reading(made, film.id, "en", 12.5).model_dump_json(exclude_none=True)
    outbox.finish(
        film.id,
        outcome=outcome,
        code=code,
        reading=reading.encode() if reading else None,
        results=results,
        partners={},
    )
    return results


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("readings") / "exchange"
    with storing(folder) as client:
        outbox = open_outbox(folder)
        for number in (READ, REFUSED, FAILED, EMPTIED, WAITS):
            assert store(client, numbered(number)).status_code == 200
        results = {each.kind: each for each in finish(outbox, READ, "read")}
        finish(outbox, REFUSED, "refused", "not_a_chest_xray")
        finish(outbox, FAILED, "failed", "reader_killed")
        finish(outbox, EMPTIED, "read")
        film_id = outbox.films("read")[0].id
        empty(folder, outbox.films("read")[1].id)
        yield Kept(client, outbox, results, film_id)
        outbox.close()


def empty(folder: Path, film_id: str) -> None:
    """Drop what was said of a film, as the queue does that has to make room."""
    with closing(QueueDatabase(folder)) as database, database.writing() as connection:
        drop_content(connection, film_id)


def test_json_is_the_reading_as_predict_answers_it_with_its_state(kept: Kept) -> None:
    answer = kept.get(READ)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept, Accept-Language"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"id", "state", "received_at", "reading", "results"}
    assert (told["id"], told["state"]) == (kept.film_id, "read")
    assert told["reading"]["label"] == "covid19"
    assert told["reading"]["probabilities"]["covid19"] == pytest.approx(0.97)
    assert told["reading"]["image"]["format"] == "DICOM"
    assert told["results"] == [
        {"kind": each.kind, "uid": each.uid, "media_type": each.media_type}
        for each in kept.results.values()
    ]


def test_a_film_is_found_by_its_id_too(kept: Kept) -> None:
    answer = kept.client.get(f"/readings/{kept.film_id}")
    assert answer.json() == kept.get(READ).json()


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("application/dicom", "", "sr"),
        ("application/dicom; transfer-syntax=*", "", "sr"),
        ("application/dicom", "?kind=sc", "sc"),
        (None, "?kind=sc", "sc"),
        (None, "?kind=sr", "sr"),
        ("application/fhir+json", "", "fhir"),
        (None, "?kind=fhir", "fhir"),
        ("application/hl7-v2", "", "hl7"),
        ("x-application/hl7-v2+er7", "", "hl7"),
        ("text/html, application/fhir+json;q=0.9, application/json;q=0.1", "", "fhir"),
    ],
)
def test_each_shape_is_the_bytes_that_are_delivered(
    kept: Kept, accept: str | None, query: str, kind: str
) -> None:
    answer = kept.get(READ, accept, query)
    assert answer.status_code == 200
    assert answer.content == kept.results[kind].data
    named = kept.results[kind].media_type
    if accept and accept.startswith("x-"):
        named = accept
    assert answer.headers["content-type"] == named
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["cache-control"] == "no-store"


def test_the_report_and_the_picture_are_of_the_films_study(kept: Kept) -> None:
    for query, modality in (("", "SR"), ("?kind=sc", "OT")):
        result = dcmread(io.BytesIO(kept.get(READ, "application/dicom", query).content))
        assert (result.Modality, result.StudyInstanceUID) == (modality, STUDY)
    bundle = json.loads(kept.get(READ, "application/fhir+json").content)
    assert bundle["type"] == "transaction"


@pytest.mark.parametrize("accept", [None, "application/json", "application/dicom"])
def test_what_waits_is_202_whatever_is_wanted(kept: Kept, accept: str | None) -> None:
    answer = kept.get(WAITS, accept)
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["state"] == "waiting"
    assert set(answer.json()) == {"id", "state", "received_at", "results"}


@pytest.mark.parametrize(("language", "title"), [("en", "chest X-ray"), ("es", "radiografía")])
def test_what_was_refused_says_why(kept: Kept, language: str, title: str) -> None:
    answer = kept.client.get(f"/readings/{uid_of(REFUSED)}", headers={"Accept-Language": language})
    told = answer.json()
    assert (answer.status_code, told["state"], told["code"]) == (
        200, "refused", "not_a_chest_xray",
    )  # fmt: skip
    assert title in told["title"]
    assert told["results"] == []
    assert "reading" not in told
    assert answer.headers["content-language"] == language


def test_a_code_that_is_no_errors_has_no_title(kept: Kept) -> None:
    told = kept.get(FAILED).json()
    assert (told["state"], told["code"]) == ("failed", "reader_killed")
    assert "title" not in told


@pytest.mark.parametrize(("number", "state"), [(REFUSED, "refused"), (FAILED, "failed")])
def test_what_was_not_read_has_no_result(kept: Kept, number: int, state: str) -> None:
    problem = check_problem(kept.get(number, "application/dicom"), 404, "result_absent")
    assert problem["state"] == state


def test_what_is_kept_no_longer_is_gone(kept: Kept) -> None:
    check_problem(kept.get(EMPTIED), 410, "reading_gone")
    check_problem(kept.get(EMPTIED, "application/dicom"), 410, "reading_gone")


@pytest.mark.parametrize("name", ["1.2.3", "x", "01M89YMQ7DS491K3W4XE3W17T8", "%00", "'; --"])
def test_what_nobody_stored_is_unknown(kept: Kept, name: str) -> None:
    check_problem(kept.client.get(f"/readings/{name}"), 404, "reading_unknown")


@pytest.mark.parametrize("accept", ["text/html", "application/dicom+json", "image/png"])
def test_what_there_is_not_is_406_with_what_there_is(kept: Kept, accept: str) -> None:
    problem = check_problem(kept.get(READ, accept), 406, "not_acceptable")
    assert problem["types"] == LIST


def test_a_kind_of_another_type_than_is_wanted_is_406(kept: Kept) -> None:
    problem = check_problem(kept.get(READ, "application/json", "?kind=sc"), 406, "not_acceptable")
    assert problem["types"] == "application/dicom"


@pytest.mark.parametrize("kind", ["", "SR", "pdf"])
def test_a_kind_that_there_is_not(kept: Kept, kind: str) -> None:
    problem = check_problem(kept.get(READ, query=f"?kind={kind}"), 400, "invalid_parameter")
    assert problem["parameter"] == "kind"


@pytest.mark.parametrize("number", [READ, WAITS])
@pytest.mark.parametrize("accept", ["application/json", "application/dicom"])
def test_head_answers_as_get_does_without_a_body(kept: Kept, number: int, accept: str) -> None:
    got = kept.get(number, accept)
    head = kept.client.head(f"/readings/{uid_of(number)}", headers={"Accept": accept})
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length", "vary"):
        assert head.headers[name] == got.headers[name]


def test_a_film_that_was_changed_on_the_disk_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "exchange"
    with storing(folder) as client:
        assert store(client, numbered(READ)).status_code == 200
        with closing(QueueDatabase(folder)) as database, database.writing() as connection:
            connection.exec_driver_sql("UPDATE film SET names = x'00'")
        check_problem(client.get(f"/readings/{uid_of(READ)}"), 410, "reading_gone")


def test_without_a_queue_there_is_nothing_to_ask() -> None:
    with served(FakeModel()) as client:
        check_problem(client.get("/readings/1.2.3"), 404, "exchange_off")
