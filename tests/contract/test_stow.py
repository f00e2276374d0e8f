"""``POST /dicomweb/studies``: STOW-RS as PS3.18 section 10.5 and annex I have it."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

if not util.find_spec("highdicom"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from pydicom import Dataset

from app.main import create_app
from app.records.outbox.outbox import Outbox
from app.render.hospital.result_set import make_results
from app.render.hospital.source_image import read_source_image
from app.settings.settings import Settings
from tests import dicoms
from tests.app.render.hospital.results import INSTANCE, MADE_AT, SERIES, STUDY, film, read
from tests.apps import Sending, served, served_to_many, wait_for
from tests.contract.stow import (
    BOUNDARY,
    RELATED,
    STUDIES,
    failed,
    numbered,
    open_outbox,
    others,
    related,
    store,
    storing,
    taken,
    told,
    uid_of,
)
from tests.contract.test_problems import check_problem
from tests.models import FakeModel

PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
CT = "1.2.840.10008.5.1.4.1.1.2"
ELEMENTS = dicoms.elements({0x00080016: dicoms.CR})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exchange"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with storing(folder) as client:
        yield client


@pytest.fixture
def outbox(client: TestClient, folder: Path) -> Iterator[Outbox]:  # noqa: ARG001 - opened first
    outbox = open_outbox(folder)
    yield outbox
    outbox.close()


def without_pixels(sop_class: str) -> bytes:
    return dicoms.file_meta(dicoms.EXPLICIT, sop_class) + dicoms.elements({0x00080016: sop_class})


def results_of(data: bytes) -> list[bytes]:
    made = make_results(read(data), read_source_image(data), "en", MADE_AT, ("sr", "sc"))
    return [result.data for result in made]


def test_a_film_is_stored_and_waits(client: TestClient, outbox: Outbox) -> None:
    answer = store(client, film())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "00081190": {"vr": "UR"},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [dicoms.CR]},
                    "00081155": {"vr": "UI", "Value": [INSTANCE]},
                    "00081190": {"vr": "UR"},
                }
            ],
        },
    }
    queued = outbox.take()
    assert queued is not None
    assert (queued.sop_uid, queued.study_uid, queued.way) == (INSTANCE, STUDY, "stow")
    assert outbox.film(queued.id) == film()
    assert outbox.take() is None


def test_many_films_in_one_request(client: TestClient, outbox: Outbox) -> None:
    answer = store(client, *(numbered(number) for number in range(12)))
    assert answer.status_code == 200
    assert taken(answer) == [uid_of(number) for number in range(12)]
    assert len(outbox.films("waiting")) == 12


def test_one_film_without_parts(client: TestClient) -> None:
    answer = client.post(STUDIES, content=film(), headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200
    assert taken(answer) == [INSTANCE]


def test_a_film_again_is_stored_already_and_kept_once(client: TestClient, outbox: Outbox) -> None:
    answers = [store(client, film(), film()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert taken(answers[0]) == [INSTANCE, INSTANCE]
    assert len(outbox.films()) == 1


def test_what_comes_with_films_is_taken_and_dropped(client: TestClient, outbox: Outbox) -> None:
    sr, sc = results_of(film())
    answer = store(client, sr, sc, without_pixels(PRESENTATION_STATE), without_pixels(KEY_OBJECTS))
    assert answer.status_code == 200
    assert len(taken(answer)) == 4
    assert failed(answer) == others(answer) == []
    assert outbox.films() == []


def test_some_are_stored_and_others_are_not(client: TestClient, outbox: Outbox) -> None:
    answer = store(client, numbered(1), film(x00080016=CT), b"no DICOM at all", numbered(2))
    assert answer.status_code == 202
    assert taken(answer) == [uid_of(1), uid_of(2)]
    assert failed(answer) == [(INSTANCE, 0x0122)]
    assert others(answer) == [0xC000]
    assert len(outbox.films()) == 2


@pytest.mark.parametrize(
    ("data", "named", "reason"),
    [
        (b"no DICOM at all", False, 0xC000),
        (film()[:600], False, 0xC000),
        (film(x00080016=CT), True, 0x0122),
        (dicoms.file_meta("1.2.840.10008.1.2.4.100") + ELEMENTS, False, 0xC122),
        (dicoms.file_meta(dicoms.DEFLATED) + ELEMENTS, False, 0xC122),
        (film({0x0020000D: None}), False, 0xA900),
    ],
    ids=["text", "truncated", "ct", "mpeg", "deflated", "no-study"],
)
def test_why_an_instance_is_not_stored(
    client: TestClient, outbox: Outbox, data: bytes, *, named: bool, reason: int
) -> None:
    answer = store(client, data)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/dicom+json"
    assert "00081199" not in answer.json()
    reasons = [why for _, why in failed(answer)] + others(answer)
    assert reasons == [reason]
    assert bool(failed(answer)) == named or reason == 0xA900
    assert outbox.films() == []


def test_a_study_that_is_named_is_that_of_every_instance(
    client: TestClient, outbox: Outbox
) -> None:
    path = f"{STUDIES}/{STUDY}"
    answer = store(client, numbered(1), numbered(2, study="1.2.3"), path=path)
    assert answer.status_code == 202
    assert taken(answer) == [uid_of(1)]
    assert failed(answer) == [(uid_of(2), 0xA900)]
    assert len(outbox.films()) == 1
    assert store(client, numbered(2, study="1.2.3"), path=path).status_code == 409


@pytest.mark.parametrize("uid", ["x", "1", "1.2.", "1.2.3'", "1." + "2" * 63])
def test_a_study_that_is_none(client: TestClient, uid: str) -> None:
    problem = check_problem(
        store(client, film(), path=f"{STUDIES}/{uid}"), 400, "invalid_parameter"
    )
    assert problem["parameter"] == "study_uid"


@pytest.mark.parametrize("accept", ["application/dicom+json", "application/json", "*/*"])
def test_the_answer_is_json_as_it_is_wanted(client: TestClient, accept: str) -> None:
    answer = store(client, film(), Accept=accept)
    assert answer.status_code == 200
    expected = accept if accept != "*/*" else "application/dicom+json"
    assert answer.headers["content-type"] == expected
    assert answer.headers["vary"] == "Accept"


def test_xml_is_not_answered_and_nothing_is_stored(client: TestClient, outbox: Outbox) -> None:
    problem = check_problem(store(client, film(), Accept="application/dicom+xml"), 406,
                            "not_acceptable")  # fmt: skip
    assert problem["types"] == "application/dicom+json, application/json"
    assert outbox.films() == []


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("image/jpeg", b"x"),
        ("multipart/form-data; boundary=x", b"x"),
        (RELATED.replace("dicom", "dicom+json"), related(film())),
        (RELATED, related(b"{}", media_type="application/dicom+json")),
        (RELATED, related(related(film()), media_type=RELATED)),
        ("", b"x"),
    ],
    ids=["jpeg", "form", "metadata", "part", "nested", "none"],
)
def test_other_media_types(
    client: TestClient, outbox: Outbox, content_type: str, content: bytes
) -> None:
    answer = client.post(STUDIES, content=content, headers={"Content-Type": content_type})
    check_problem(answer, 415, "unsupported_media_type")
    assert outbox.films() == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "malformed"),
        (b"no boundary", "malformed"),
        (f"--{BOUNDARY}--\r\n".encode(), "empty_upload"),
        (f"--{BOUNDARY}\r\nbroken\r\n\r\nx".encode(), "malformed"),
    ],
)
def test_a_body_that_can_not_be_taken_apart(client: TestClient, content: bytes, code: str) -> None:
    answer = client.post(STUDIES, content=content, headers={"Content-Type": RELATED})
    check_problem(answer, 400, code)


def test_what_came_whole_before_a_body_broke_off_is_stored(
    client: TestClient, outbox: Outbox
) -> None:
    content = related(numbered(1), numbered(2))[:-40]
    answer = client.post(STUDIES, content=content, headers={"Content-Type": RELATED})
    check_problem(answer, 400, "malformed")
    assert len(outbox.films()) == 1


def test_a_part_that_is_too_large_costs_the_others_nothing(folder: Path) -> None:
    small = len(numbered(1)) + 100
    with storing(folder, max_body_bytes=small, max_batch_body_bytes=10 * small) as client:
        large = film() + b"\0" * small
        answer = store(client, numbered(1), large, numbered(2))
        assert answer.status_code == 202
        assert taken(answer) == [uid_of(1), uid_of(2)]
        assert failed(answer) + [("", why) for why in others(answer)] == [(INSTANCE, 0xA700)]
        problem = check_problem(store(client, large), 413, "body_too_large")
        assert problem["max_body_bytes"] == small


def test_what_is_dropped_may_be_larger_than_a_film(folder: Path) -> None:
    small = len(numbered(1)) + 100
    with storing(folder, max_body_bytes=small, max_batch_body_bytes=10 * small) as client:
        document = without_pixels(KEY_OBJECTS) + dicoms.elements({0x00420011: b"\0" * small})
        answer = store(client, numbered(1), document)
        assert (answer.status_code, len(taken(answer))) == (200, 2)


@pytest.mark.parametrize("path", [STUDIES, f"{STUDIES}/{STUDY}"])
def test_a_body_over_the_limit_of_all(folder: Path, path: str) -> None:
    with storing(folder, max_body_bytes=50_000, max_batch_body_bytes=100_000) as client:
        many = [numbered(number) for number in range(4)]
        assert len(related(*many)) > 100_000 > len(related(many[0]))
        assert store(client, many[0], path=path).status_code == 200
        problem = check_problem(store(client, *many, path=path), 413, "body_too_large")
        assert problem["max_body_bytes"] == 100_000


def test_more_parts_than_one_request_may_have(client: TestClient, outbox: Outbox) -> None:
    begun_s = time.monotonic()
    answer = store(client, *[b"x"] * 10_000)
    problem = check_problem(answer, 400, "too_many_files")
    assert problem["max_files"] == 1000
    assert time.monotonic() - begun_s < 20
    assert outbox.films() == []


def test_a_full_queue_asks_to_come_again(folder: Path) -> None:
    room = 2 * len(film()) + 20_000
    with storing(folder, exchange_bytes=2**20) as client:
        outbox = client.app.state.outbox  # type: ignore[attr-defined]
        outbox._most_bytes = room
        answer = store(client, *(numbered(number) for number in range(4)))
        assert answer.status_code == 202
        assert len(taken(answer)) == 2
        assert [why for _, why in failed(answer)] == [0xA700, 0xA700]
        refused = store(client, numbered(7), numbered(8))
        check_problem(refused, 503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1


def test_without_a_queue_nothing_is_stored() -> None:
    with served(FakeModel()) as client:
        problem = check_problem(store(client, film()), 404, "exchange_off")
        assert "NEUMO_EXCHANGE_FOLDER" in problem["detail"]


def test_a_model_that_is_not_there_yet_keeps_no_film_out(folder: Path) -> None:
    """The queue is there to bridge just that."""
    app = create_app(Settings(exchange_folder=str(folder)), load_model=lambda _: FakeModel())
    client = TestClient(app)  # which starts no lifespan: no model is loaded
    with closing(app.state.outbox):
        assert store(client, film()).status_code == 200


def test_what_is_held_of_a_body_is_the_film_that_comes(folder: Path) -> None:
    """Once five films lie on the disk, there is room again for a body as large as they."""

    async def scenario() -> None:
        content = related(*(numbered(number) for number in range(6)))
        bound, half = len(content) * 2, len(content) - 20_000
        settings = {"exchange_folder": str(folder), "max_held_bytes": bound}
        async with served_to_many(FakeModel(), **settings) as client:
            sending = Sending(content[:half], content[half:])
            storing = asyncio.create_task(
                client.post(STUDIES, content=sending, headers={"Content-Type": RELATED})
            )
            await sending.begun.wait()
            beside = await client.post("/predict", content=b"x" * (bound - 40_000))
            assert beside.json()["code"] == "unsupported_media_type"
            sending.rest.set()
            answer = await storing
            assert (answer.status_code, len(answer.json()["00081199"]["Value"])) == (200, 6)

    asyncio.run(scenario())


def test_a_full_queue_is_told_before_the_rest_has_come(folder: Path) -> None:
    async def scenario() -> None:
        settings = {"exchange_folder": str(folder), "exchange_bytes": 2**20}
        content = related(numbered(1) + b"\0" * 2**20, numbered(2))
        async with served_to_many(FakeModel(), **settings) as client:
            sending = Sending(content[: 2**20 + 60_000], b"never sent")
            answer = await client.post(STUDIES, content=sending, headers={"Content-Type": RELATED})
            assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
            assert not sending.rest.is_set()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_two_that_hold_too_much_together_are_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = {"exchange_folder": str(tmp_path / "x"), "max_held_bytes": 10_000}
        async with served_to_many(FakeModel(), **settings) as client:
            head = related(b"x" * 6_000)[:5_900]
            first = Sending(head, b"")
            one = asyncio.create_task(
                client.post(STUDIES, content=first, headers={"Content-Type": RELATED})
            )
            await first.begun.wait()
            second = Sending(head, b"")
            second.rest.set()
            refused = await client.post(STUDIES, content=second, headers={"Content-Type": RELATED})
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            first.rest.set()
            assert (await one).status_code == 400

            async def is_let_go() -> bool:
                answer = await client.post("/predict", content=b"x" * 9_000)
                return answer.json()["code"] == "unsupported_media_type"

            await wait_for(is_let_go)

    asyncio.run(scenario())


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = {"exchange_folder": str(tmp_path / "x"), "body_timeout_s": 0.2}
        async with served_to_many(FakeModel(), **settings) as client:
            sending = Sending(related(film())[:500], b"")
            answer = await client.post(STUDIES, content=sending, headers={"Content-Type": RELATED})
            assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")

    asyncio.run(scenario())


HOSTILE: dict[str, bytes] = {
    "headers-without-end": f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 100_000,
    "one-header-without-end": f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 2**20,
    "no-end-boundary": related(b"x" * 2**20)[:-30],
    "boundaries-only": f"--{BOUNDARY}\r\n\r\n\r\n".encode() * 20_000,
    "empty-parts": related(*[b""] * 20_000),
    "almost-boundaries": related(f"\r\n--{BOUNDARY[:-1]}".encode() * 40_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_answered_at_once_and_in_little_memory(
    client: TestClient, outbox: Outbox, name: str
) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.monotonic()
    answer = client.post(STUDIES, content=HOSTILE[name], headers={"Content-Type": RELATED})
    assert answer.status_code in (400, 409)
    assert time.monotonic() - begun_s < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100 * 1024
    assert outbox.films() == []


def test_nothing_of_what_was_stored_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    canary = film({0x00100010: ("PN", "CANARY^JANE"), 0x00100020: ("LO", "CANARY-4711")})
    with caplog.at_level("DEBUG"):
        assert store(client, canary, b"CANARY", path=f"{STUDIES}/{STUDY}").status_code == 202
    written = "".join(capfd.readouterr())
    written += " ".join(
        str(record.__dict__) for record in caplog.records if not record.name.startswith("httpx")
    )
    assert "neumo.request" in written
    for word in ("CANARY", INSTANCE, STUDY, SERIES):
        assert word not in written


def test_what_is_stored_can_not_be_read_on_the_disk(client: TestClient, folder: Path) -> None:
    assert store(client, film()).status_code == 200
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for word in (b"Doe^Jane", b"MRN-4711", INSTANCE.encode(), b"DICM"):
        assert word not in held


def test_the_answer_tells_pydicom_what_it_should(client: TestClient) -> None:
    answer: dict[str, Any] = store(client, numbered(1), b"x").json()
    dataset = Dataset.from_json(answer)
    assert dataset.RetrieveURL == ""
    assert dataset.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid_of(1)
    assert dataset.OtherFailuresSequence[0].FailureReason == 0xC000
    assert told(answer, "00081198") == []
