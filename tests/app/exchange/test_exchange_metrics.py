"""What Prometheus is told of the queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.exchange.exchange_metrics import QueueCollector
from app.records.outbox.outbox import Outbox
from app.settings.exchange_settings import ExchangeSettings
from tests.app.records.outbox.queues import FHIR, FILM, PACS, Place, keep, read


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "exchange")


@pytest.fixture
def outbox(place: Place) -> Iterator[Outbox]:
    opened = place.open()
    yield opened
    opened.close()


def told(outbox: Outbox, partners: str = "") -> dict[tuple[str, ...], float]:
    """Return each sample by its name and its labels' values."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(outbox, ExchangeSettings(partners=partners)))
    return {
        (sample.name.removeprefix("neumo_exchange_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_an_empty_queue_tells_zeros(outbox: Outbox) -> None:
    assert told(outbox, PACS) == {
        ("up",): 1,
        ("films", "waiting"): 0,
        ("films", "read"): 0,
        ("films", "refused"): 0,
        ("films", "failed"): 0,
        ("deliveries", "1", "dicom", "waiting"): 0,
        ("deliveries", "1", "dicom", "delivered"): 0,
        ("deliveries", "1", "dicom", "dead"): 0,
        ("oldest_film_seconds",): 0,
        ("oldest_delivery_seconds",): 0,
        ("waiting_bytes",): 0,
        ("most_bytes",): 10 * 2**30,
    }


def test_what_waits_and_what_is_dead_is_told_by_the_partners_number(
    place: Place, outbox: Outbox
) -> None:
    read(outbox)
    (report, picture), (bundle,) = outbox.due(PACS), outbox.due(FHIR)
    outbox.delivered(report.id)
    outbox.put_off(picture.id, "status_0xA900", again_in=None)
    outbox.delivered(bundle.id)
    place.clock.now_s += 60
    keep(outbox, "1.2.1")
    place.clock.now_s += 5
    seen = told(outbox, f"https://a/dicom-web,{PACS}")
    assert seen["films", "read"] == seen["films", "waiting"] == 1
    assert seen["deliveries", "2", "dicom", "delivered"] == 1
    assert seen["deliveries", "2", "dicom", "dead"] == 1
    assert seen["deliveries", "1", "stow", "waiting"] == 0
    assert seen["deliveries", "0", "none", "delivered"] == 1, "a partner of former times"
    assert seen["oldest_film_seconds",] == 5
    assert seen["oldest_delivery_seconds",] == 0
    assert seen["waiting_bytes",] > len(FILM)


def test_a_queue_that_is_away_is_told(outbox: Outbox, place: Place) -> None:
    outbox.close()
    for file in place.folder.glob("exchange.sqlite*"):
        file.write_bytes(b"no database" * 1000)
    assert told(outbox) == {("up",): 0}
