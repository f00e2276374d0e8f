"""app.exchange.dimse.film_receiver: the status that a film is answered with, and what is left."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import QueueAway, QueueFull
from app.exchange.caller_list import CallerList
from app.exchange.dimse.film_receiver import FilmReceiver
from app.settings.exchange_settings import parse_callers
from tests import dicoms
from tests.app.render.hospital.results import INSTANCE, STUDY, film

SUCCESS, OUT_OF_RESOURCES, DOES_NOT_MATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000


@dataclass(frozen=True)
class Kept:
    id: str = "F1"
    again: bool = False


class FakeQueue:
    """Keeps films, or fails as it is told."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.kept: list[tuple[str, str]] = []
        self.models: Collection[str] = ()
        self._failure = failure

    def keep(
        self, data: bytes, *, sop_uid: str, study_uid: str, way: str, models: Collection[str]
    ) -> Kept:
        self.models = models
        assert (data, way) == (film(), "dimse")
        if self._failure is not None:
            raise self._failure
        self.kept.append((sop_uid, study_uid))
        return Kept()


def store(
    queue: FakeQueue,
    path: Path,
    data: bytes | None = None,
    sop_class: str = dicoms.CR,
    instance: str = INSTANCE,
    callers: str = "",
    models: Collection[str] = (),
) -> int:
    """Let a data set arrive; return the status."""
    path.write_bytes(film() if data is None else data)
    event: Any = SimpleNamespace(
        dataset_path=path,
        request=SimpleNamespace(AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=instance),
        assoc=SimpleNamespace(
            dul=SimpleNamespace(socket=None), requestor=SimpleNamespace(ae_title="PACS")
        ),
    )
    receiver = FilmReceiver(queue, ("b" * 64,), models, CallerList(parse_callers(callers)))
    (_, handle), _ = receiver.handlers
    status: int = handle(event)
    assert not path.exists()
    return status


def test_a_film_is_kept_by_its_uids(tmp_path: Path) -> None:
    queue = FakeQueue()
    assert store(queue, tmp_path / "film") == SUCCESS
    assert queue.kept == [(INSTANCE, STUDY)]


def test_what_another_model_read_is_read_anew(tmp_path: Path) -> None:
    queue = FakeQueue()
    store(queue, tmp_path / "film", models=("a" * 64,))
    assert queue.models == ("a" * 64,)  # of those that read here: the queue compares


@pytest.mark.parametrize("failure", [QueueFull, QueueAway, MemoryError, OSError])
def test_what_can_be_sent_again_later_is_told_so(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    assert store(FakeQueue(failure()), tmp_path / "film") == OUT_OF_RESOURCES


def test_a_data_set_of_another_instance_than_was_said_is_not_kept(tmp_path: Path) -> None:
    queue = FakeQueue()
    assert store(queue, tmp_path / "film", sop_class=dicoms.DX) == DOES_NOT_MATCH
    assert store(queue, tmp_path / "film", instance="1.2.3") == DOES_NOT_MATCH
    assert queue.kept == []


def test_what_can_never_be_read_is_told_so(tmp_path: Path) -> None:
    assert store(FakeQueue(), tmp_path / "film", data=film()[:500]) == NOT_UNDERSTOOD


def test_what_is_dropped_is_not_even_opened(tmp_path: Path) -> None:
    queue = FakeQueue()
    report = "1.2.840.10008.5.1.4.1.1.88.11"
    assert store(queue, tmp_path / "film", data=b"anything", sop_class=report) == SUCCESS
    assert queue.kept == []


@pytest.mark.parametrize(("callers", "told"), [("PACS", "PACS"), ("", None)])
def test_a_callers_title_is_logged_where_the_settings_hold_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, callers: str, told: str | None
) -> None:
    with caplog.at_level(logging.INFO):
        store(FakeQueue(), tmp_path / "film", callers=callers)
    (record,) = caplog.records
    members = record.__dict__["members"]
    assert members.get("caller") == told
    assert (members["film"], members["again"], members["status"]) == ("F1", False, "0x0000")
