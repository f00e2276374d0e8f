"""Films of the queue are read by the one service, and end as read, refused or failed."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from app.errors import QueueFull
from app.exchange.film_reader import FilmReader
from app.exchange.partners.partner_list import open_partners
from app.model.session import Outputs
from app.reading.reading import Reading
from app.records.outbox.outbox import Outbox
from app.render.hospital.result_set import KINDS
from app.render.hospital.result_uid import result_uid
from app.render.wording import NOTICE
from app.service.service import Service
from app.service.witness import Nobody, Origin
from app.settings.settings import Settings
from tests.app.cli.readings import NAMES
from tests.app.records.outbox.queues import Place
from tests.app.render.hospital.results import COVID, INSTANCE, STUDY, film
from tests.models import FakeModel, one_hot_cams

PACS, FHIR = "dicom://PACS@127.0.0.1:104", "fhir+https://ehr.example/fhir"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Place(tmp_path / "exchange").open(clock=time.time, most_bytes=2**24)
    yield opened
    opened.close()


def model() -> FakeModel:
    points = dict.fromkeys((name["id"] for name in NAMES), 0.5)
    return FakeModel(COVID, one_hot_cams(), card={"labels": NAMES, "operating_points": points})


class Broken(FakeModel):
    """Fails each time."""

    def run(self, pixels: NDArray[Any]) -> Outputs:
        self.seen.append(pixels)
        raise ValueError("CANARY")


def read_all(
    outbox: Outbox, served: FakeModel, *, changes: Callable[[Service], None] = lambda _: None
) -> list[float]:
    """Read what the queue has; return how long it would have waited after each."""
    settings = Settings(partners=f"{PACS},{FHIR}")
    partners = open_partners(settings)

    async def run() -> list[float]:
        service = Service(settings, lambda _: served, lambda: None)
        await service.start()
        changes(service)
        reader = FilmReader(service, outbox, partners, "es")
        waits = []
        for _ in range(5):
            if not outbox.counts().films.get("waiting"):
                break
            with suppress(QueueFull):
                waits.append(await reader.read_next())
        service.stop()
        return waits

    try:
        return asyncio.run(run())
    finally:
        for partner in partners:
            partner.close()


def keep(outbox: Outbox, data: bytes, sop_uid: str = INSTANCE) -> str:
    return outbox.keep(data, sop_uid=sop_uid, study_uid=STUDY, way="dimse").id


def test_a_film_is_read_and_its_results_wait_for_partners(outbox: Outbox) -> None:
    film_id, served = keep(outbox, film()), model()
    assert read_all(outbox, served) == [0.0]
    stored = outbox.reading(INSTANCE)
    assert stored is not None
    assert (stored.film_id, stored.state) == (film_id, "read")
    answer = json.loads(stored.reading or b"")
    assert (answer["request_id"], answer["label"]) == (film_id, "covid19")
    assert answer["notice"] == NOTICE.es
    assert set(stored.results) == set(KINDS)
    sha256 = served.card.sha256
    assert stored.results["sr"].uid == result_uid("sr", INSTANCE, sha256)
    assert stored.results["sc"].uid == result_uid("sc", INSTANCE, sha256)
    rows = {(row.partner, row.kind, row.state) for row in outbox.deliveries()}
    assert rows == {
        (PACS, "sr", "waiting"), (PACS, "sc", "waiting"), (FHIR, "fhir", "waiting"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(film()[:3000], "image_truncated", id="cut off"),
        pytest.param(b"no film", "unsupported_media_type", id="no film"),
        pytest.param(film({0x0020000D: None}), "study_unknown", id="no study"),
    ],
)
def test_a_film_that_is_refused_gets_no_result_and_is_told(
    outbox: Outbox, data: bytes, code: str
) -> None:
    film_id = keep(outbox, data)
    assert read_all(outbox, model()) == [0.0]
    (row,) = outbox.films("refused")
    assert (row.id, row.code, row.attempts) == (film_id, code, 1)
    assert outbox.deliveries() == []


def test_a_film_that_fails_is_tried_three_times_and_the_next_one_read(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    film_id, served = keep(outbox, film()), Broken()
    assert read_all(outbox, served) == [1.0, 1.0, 0.0]
    (row,) = outbox.films("failed")
    assert (row.id, row.code, row.attempts) == (film_id, "internal_error", 3)
    assert len(served.seen) == 3
    assert "CANARY" not in " ".join(record.getMessage() for record in caplog.records)
    assert outbox.retry(film_id) == 1
    assert read_all(outbox, model()) == [0.0]
    assert [film.state for film in outbox.films()] == ["read"]


def test_a_service_that_is_not_ready_costs_no_attempt(outbox: Outbox) -> None:
    film_id = keep(outbox, film())
    assert read_all(outbox, model(), changes=lambda service: service.stop())[:2] == [1.0, 1.0]
    (row,) = outbox.films("waiting")
    assert (row.id, row.attempts) == (film_id, 0)


@pytest.mark.parametrize("fails", [{"finish": 4}, {"finish": 1, "give_back": 1}])
def test_a_disk_that_was_full_costs_no_attempt(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, fails: dict[str, int]
) -> None:
    def fill(name: str, times: int) -> None:
        works, calls = getattr(outbox, name), count()

        def call(*arguments: object, **more: object) -> object:
            if next(calls) < times:
                raise QueueFull
            return works(*arguments, **more)

        monkeypatch.setattr(outbox, name, call)

    for name, times in fails.items():
        fill(name, times)
    keep(outbox, film())
    read_all(outbox, model())
    (row,) = outbox.films()
    assert (row.state, row.attempts) == ("read", 1)


def test_what_the_queue_lost_is_told(outbox: Outbox, tmp_path: Path) -> None:
    film_id = keep(outbox, film())
    (tmp_path / "exchange" / "films" / f"{film_id}.film").unlink()
    read_all(outbox, model())
    (row,) = outbox.films("failed")
    assert (row.id, row.code) == (film_id, "film_lost")


def test_what_is_read_is_witnessed_as_of_the_queue(outbox: Outbox) -> None:
    seen: list[tuple[str, str, str]] = []

    class Watcher(Nobody):
        def saw_reading(self, origin: Origin, reading: Reading) -> None:
            seen.append((origin.request_id, origin.call, reading.judgement.label))

        def saw_refusal(self, origin: Origin, code: str, *_: object) -> None:
            seen.append((origin.request_id, origin.call, code))

    def watch(service: Service) -> None:
        service.witness = Watcher()

    ids = [keep(outbox, film()), keep(outbox, b"no film", "1.2.9")]
    read_all(outbox, model(), changes=watch)
    assert seen == [(ids[0], "dimse", "covid19"), (ids[1], "dimse", "unsupported_media_type")]
