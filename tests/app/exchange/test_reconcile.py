"""What is fetched of an archive: films that nothing is known of, once, and no others."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from importlib import util
from pathlib import Path
from typing import cast

import pytest

if not util.find_spec("httpx"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from app.errors import ArchiveUnusable, BundleMissing, FilmNotFetched, QueueFull
from app.exchange.dicomweb_archive import ArchivedInstance, DicomwebArchive
from app.exchange.reconcile import Reconciliation, known_models, last_days, reconcile
from app.model.bundle import find_bundle, read_bundle
from app.records.outbox.outbox import Outbox
from app.render.hospital.result_uid import result_uid

CR, DX = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
SR, SC = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
MODEL, FORMER = "a" * 64, "b" * 64
DAYS = (date(2026, 11, 27), date(2026, 11, 29))


class FakeArchive:
    """Studies by UID; films whose UID is in `lost` are listed, and not given."""

    def __init__(
        self, studies: dict[str, list[tuple[str, str]]], lost: tuple[str, ...] = ()
    ) -> None:
        self.studies, self.lost = studies, lost
        self.fetched: list[str] = []
        self.away_after: int | None = None

    def list_studies(self, first_day: date, last_day: date) -> Iterator[str]:
        assert (first_day, last_day) == DAYS
        for number, uid in enumerate(self.studies):
            if number == self.away_after:
                raise ArchiveUnusable(reason="ReadTimeout")
            yield uid

    def list_instances(self, study_uid: str) -> list[ArchivedInstance]:
        held = self.studies[study_uid]
        return [ArchivedInstance(kind, uid, "1.5", study_uid) for kind, uid in held]

    def fetch(self, film: ArchivedInstance) -> bytes:
        if film.sop_uid in self.lost:
            raise FilmNotFetched(status=404)
        self.fetched.append(film.sop_uid)
        return f"film {film.sop_uid}".encode()


def results(film: str, model: str = MODEL) -> list[tuple[str, str]]:
    return [(SR, result_uid("sr", film, model)), (SC, result_uid("sc", film, model))]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(
        Outbox.open(tmp_path / "queue", None, most_bytes=2**20, kept_for=timedelta(days=7))
    ) as outbox:
        yield outbox


def ask(archive: FakeArchive, outbox: Outbox, most: int = 100) -> dict[str, int]:
    """Reconcile; return the counts that are not 0."""
    told = Reconciliation()
    reconcile(cast("DicomwebArchive", archive), outbox, {MODEL, FORMER}, DAYS, most, told)
    return {name: count for name, count in told.counts().items() if count}


def test_a_film_that_nothing_is_known_of_is_fetched_into_the_queue_once(outbox: Outbox) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11")], "1.2": [(DX, "1.21"), (DX, "1.22")]})
    assert ask(archive, outbox) == {"films": 3, "fetched": 3}
    assert ask(archive, outbox) == {"films": 3, "queued": 3}
    assert archive.fetched == ["1.11", "1.21", "1.22"]
    film = outbox.take()
    assert film is not None
    assert (film.sop_uid, film.study_uid, film.way) == ("1.11", "1.1", "wado")
    assert outbox.film(film.id) == b"film 1.11"


@pytest.mark.parametrize("model", [MODEL, FORMER])
def test_a_film_with_report_and_picture_in_its_study_is_left_alone(
    outbox: Outbox, model: str
) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11"), *results("1.11", model)]})
    assert ask(archive, outbox) == {"films": 1, "answered": 1}
    assert archive.fetched == []


def test_results_that_are_of_another_film_or_model_or_not_whole_are_none(outbox: Outbox) -> None:
    report, picture = results("1.11")
    studies = {
        "1.1": [(CR, "1.11"), report],
        "1.2": [(CR, "1.21"), *results("1.11")],
        "1.3": [(CR, "1.31"), *results("1.31", "c" * 64)],
        "1.4": [(CR, "1.41"), report, picture],
    }
    assert ask(FakeArchive(studies), outbox) == {"films": 4, "fetched": 4}


def test_what_is_no_film_is_not_asked_for(outbox: Outbox) -> None:
    archive = FakeArchive(
        {"1.1": [(SR, "1.11"), (SC, "1.12"), ("1.2.840.10008.5.1.4.1.1.2", "1.13")]}
    )
    assert ask(archive, outbox) == {}


@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_a_film_of_which_no_result_will_come_is_not_fetched_again_and_again(
    outbox: Outbox, outcome: str
) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11")]})
    ask(archive, outbox)
    film = outbox.take()
    assert film is not None
    outbox.finish(
        film.id,
        outcome=outcome,  # type: ignore[arg-type]
        code="not_a_chest_xray",
        reading=None,
        results=(),
        partners=(),
    )
    assert ask(archive, outbox) == {"films": 1, "refused": 1}
    assert archive.fetched == ["1.11"]


def test_a_film_that_is_not_given_stops_no_other(outbox: Outbox) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11"), (CR, "1.12")]}, lost=("1.11",))
    assert ask(archive, outbox) == {"films": 2, "fetched": 1, "not_fetched": 1}


def test_it_goes_on_where_the_most_films_were_fetched(outbox: Outbox) -> None:
    archive = FakeArchive({f"1.{each}": [(CR, f"1.{each}1")] for each in range(5)})
    assert ask(archive, outbox, most=2) == {"films": 2, "fetched": 2}
    assert ask(archive, outbox, most=2) == {"films": 4, "queued": 2, "fetched": 2}
    assert ask(archive, outbox, most=2) == {"films": 5, "queued": 4, "fetched": 1}


def test_counts_up_to_an_error_are_told(outbox: Outbox) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11")], "1.2": [(CR, "1.21")]})
    archive.away_after = 1
    told = Reconciliation()
    with pytest.raises(ArchiveUnusable):
        reconcile(cast("DicomwebArchive", archive), outbox, {MODEL}, DAYS, 10, told)
    assert (told.films, told.fetched) == (1, 1)


def test_a_full_queue_ends_it(tmp_path: Path) -> None:
    archive = FakeArchive({"1.1": [(CR, "1.11")]})
    with (
        closing(
            Outbox.open(tmp_path / "queue", None, most_bytes=4, kept_for=timedelta(days=7))
        ) as full,
        pytest.raises(QueueFull),
    ):
        ask(archive, full)


def test_days_are_counted_back_and_one_ahead() -> None:
    assert last_days(2, date(2026, 12, 1)) == (date(2026, 11, 29), date(2026, 12, 2))


def test_the_models_whose_results_count_are_those_beside_the_active_one_too() -> None:
    known = known_models(["neumo-r18-3"])
    for name in ("neumo-r18-3", "neumo-r18-2"):
        assert read_bundle(find_bundle(name)).card.sha256 in known


def test_a_bundle_that_is_not_there_is_told() -> None:
    with pytest.raises(BundleMissing):
        known_models(["no-such-bundle"])
