"""Films in the queue: kept once, read once, whatever dies in between."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from app.errors import FilmLost, QueueAway, QueueFull
from app.records.outbox.lease import LEASE_S
from app.records.outbox.outbox import Outbox
from tests.app.records.outbox.queues import (
    FILM,
    PARTNERS,
    RESULTS,
    SOP_UID,
    STUDY_UID,
    Place,
    keep,
    read,
)
from tests.conftest import ROOT


def test_a_film_is_taken_with_what_was_kept_of_it(outbox: Outbox) -> None:
    kept = outbox.keep(FILM, sop_uid=SOP_UID, study_uid=STUDY_UID, way="stow")
    taken = outbox.take()
    assert taken is not None
    assert (taken.id, taken.sop_uid, taken.study_uid) == (kept.id, SOP_UID, STUDY_UID)
    assert (taken.way, taken.attempts) == ("stow", 1)
    assert taken.received_at.timestamp() == 1.8e9
    assert outbox.film(taken.id) == FILM


def test_films_are_taken_in_the_order_that_they_came(outbox: Outbox) -> None:
    ids = [keep(outbox, f"1.2.{number}") for number in range(5)]
    taken = [outbox.take() for _ in range(6)]
    assert [film and film.id for film in taken] == [*ids, None]


def test_the_same_instance_is_kept_once_while_it_waits_and_after(outbox: Outbox) -> None:
    film_id = keep(outbox)
    for _ in range(4):
        again = outbox.keep(FILM, sop_uid=SOP_UID, study_uid=STUDY_UID, way="dimse")
        assert (again.id, again.again) == (film_id, True)
    assert outbox.take() is not None
    assert outbox.take() is None
    outbox.finish(film_id, outcome="refused", code="not_a_chest_xray", partners={})
    assert outbox.keep(b"other", sop_uid=SOP_UID, study_uid=STUDY_UID, way="dimse").again
    assert [film.state for film in outbox.films()] == ["refused"]


def test_a_film_that_another_model_read_is_kept_anew(outbox: Outbox) -> None:
    film_id = read(outbox, model="a" * 64)
    assert keep(outbox, models=("a" * 64, "c" * 64)) == film_id
    assert keep(outbox) == film_id
    anew = keep(outbox, models=("b" * 64,))
    assert anew != film_id
    assert keep(outbox, models=("b" * 64,)) == anew, "it waits"


def test_a_film_that_failed_is_given_another_chance_when_it_comes_again(
    place: Place, outbox: Outbox
) -> None:
    film_id = keep(outbox)
    outbox.take()
    outbox.finish(film_id, outcome="failed", code="internal_error", partners={})
    assert outbox.film(film_id) == FILM, "kept, to be tried again"
    anew = keep(outbox, data=FILM + b"2")
    assert [film.id for film in outbox.films()] == [anew]
    assert len(list((place.folder / "films").iterdir())) == 1
    taken = outbox.take()
    assert taken is not None
    assert outbox.film(taken.id) == FILM + b"2"


def test_what_was_read_is_shown_by_id_and_by_uid_and_the_film_is_dropped(
    place: Place, outbox: Outbox
) -> None:
    film_id = read(outbox)
    for name in (film_id, SOP_UID):
        stored = outbox.reading(name)
        assert stored is not None
        assert (stored.state, stored.code) == ("read", None)
        assert (stored.sop_uid, stored.study_uid) == (SOP_UID, STUDY_UID)
        assert stored.reading == b'{"label": "normal"}'
        assert {kind: (r.uid, r.data) for kind, r in stored.results.items()} == {
            made.kind: (made.uid, made.data) for made in RESULTS
        }
    assert outbox.reading("1.2.3") is None
    assert list((place.folder / "films").iterdir()) == []
    with pytest.raises(FilmLost):
        outbox.film(film_id)


def test_what_is_finished_twice_counts_once(outbox: Outbox) -> None:
    film_id = read(outbox)
    again = outbox.finish(
        film_id, outcome="read", reading=b"2", results=RESULTS[:1], partners=PARTNERS
    )
    assert not again
    assert len(outbox.deliveries()) == 3
    stored = outbox.reading(film_id)
    assert stored is not None
    assert stored.reading == b'{"label": "normal"}'


def test_what_a_closed_one_had_taken_is_taken_again(place: Place, outbox: Outbox) -> None:
    film_id = keep(outbox)
    other = place.open()
    assert other.take() is not None
    assert outbox.take() is None, "it is the other's"
    other.close()
    taken = outbox.take()
    assert taken is not None
    assert (taken.id, taken.attempts) == (film_id, 2)


def test_a_lease_ends_though_its_holder_hangs(place: Place, outbox: Outbox) -> None:
    keep(outbox)
    other = place.open()
    assert other.take() is not None
    place.clock.now_s += LEASE_S - 1
    assert outbox.take() is None
    place.clock.now_s += 1
    assert outbox.take() is not None
    other.close()


def test_a_film_that_is_given_back_was_not_attempted(outbox: Outbox) -> None:
    film_id = keep(outbox)
    for _ in range(5):
        taken = outbox.take()
        assert taken is not None
        assert taken.attempts == 1
        outbox.give_back(film_id)


def test_a_film_that_three_readers_died_of_is_given_up(place: Place) -> None:
    film_id = None
    for attempt in (1, 2, 3):
        reader = place.open()
        film_id = film_id or keep(reader)
        taken = reader.take()
        assert taken is not None
        assert taken.attempts == attempt
        reader.close()
    last = place.open()
    other = keep(last, "1.2.3")
    taken = last.take()
    assert taken is not None
    assert taken.id == other, "the next one is read"
    (failed,) = last.films("failed")
    assert (failed.id, failed.code) == (film_id, "reader_killed")
    last.close()


def test_a_killed_reader_loses_nothing(place: Place) -> None:
    code = (
        "import os, sys, time\n"
        "from datetime import timedelta\n"
        "from pathlib import Path\n"
        "from app.records.outbox.outbox import Outbox\n"
        "o = Outbox.open(Path(sys.argv[1]), None, most_bytes=2**20, kept_for=timedelta(1))\n"
        "o.keep(b'film', sop_uid='1.2', study_uid='1', way='file')\n"
        "print(o.take().id, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(place.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as reader:
        assert reader.stdout is not None
        film_id = reader.stdout.readline().strip()
        place.clock.now_s = 0.0  # so that the lease's time is far from over
        outbox = place.open()
        assert outbox.take() is None, "it is read at this moment"
        reader.send_signal(signal.SIGKILL)
        reader.wait()
    taken = outbox.take()
    assert taken is not None
    assert (taken.id, taken.attempts) == (film_id, 2)
    assert outbox.film(film_id) == b"film"
    outbox.close()


def test_no_more_is_kept_than_is_allowed(place: Place) -> None:
    outbox = place.open(most_bytes=10_000)
    ids = [keep(outbox, f"1.2.{number}", b"x" * 4000) for number in range(2)]
    with pytest.raises(QueueFull):
        keep(outbox, "1.2.9", b"x" * 4000)
    assert [film.id for film in outbox.films()] == ids
    assert len(list((place.folder / "films").iterdir())) == 2
    keep(outbox, "1.2.8", b"x" * 2000)
    outbox.close()


def test_what_has_arrived_makes_room_for_what_waits(place: Place) -> None:
    size = len(b'{"label": "normal"}') + sum(len(made.data) for made in RESULTS)
    outbox = place.open(most_bytes=len(FILM) + size)
    first = read(outbox)
    with pytest.raises(QueueFull):
        keep(outbox, "1.2.9", FILM + b"x")
    for partner in PARTNERS:
        for due in outbox.due(partner):
            outbox.delivered(due.id)
    keep(outbox, "1.2.9", FILM + b"x")
    assert outbox.counts().bytes == len(FILM) + 1
    stored = outbox.reading(first)
    assert stored is not None
    assert (stored.state, stored.reading, dict(stored.results)) == ("read", None, {})
    assert keep(outbox) == first, "it is still known"
    outbox.close()


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    place: Place, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(QueueFull):
            keep(outbox)
    assert outbox.films() == []
    assert list((place.folder / "films").iterdir()) == []


def test_a_folder_that_is_gone_is_told(place: Place, outbox: Outbox) -> None:
    (place.folder / "films").rmdir()
    with pytest.raises(QueueAway):
        keep(outbox)


def test_what_was_kept_long_enough_is_dropped_with_all_that_is_of_it(
    place: Place, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    read(outbox)
    keep(outbox, "1.2.1")
    place.clock.now_s += 3601
    newest = keep(outbox, "1.2.2")
    assert outbox.sweep() == 2
    (told,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert vars(told)["members"] == {"not_read": 1, "not_delivered": 3}
    assert [film.id for film in outbox.films()] == [newest]
    assert outbox.deliveries() == []
    assert [path.stem for path in (place.folder / "films").iterdir()] == [newest]


def test_what_was_delivered_is_dropped_without_alarm(
    place: Place, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    read(outbox)
    for partner in PARTNERS:
        for delivery in outbox.due(partner):
            outbox.delivered(delivery.id)
    place.clock.now_s += 3601
    assert outbox.sweep() == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_only_opens_it_drops_nothing(place: Place, outbox: Outbox) -> None:
    kept = keep(outbox)
    place.clock.now_s += 3601  # by what this one was told; the service may keep films longer
    other = place.open()
    assert [film.id for film in other.films()] == [kept]
    other.close()


def test_what_was_left_half_done_is_swept(place: Place, outbox: Outbox) -> None:
    lost, kept = keep(outbox, "1.2.1"), keep(outbox, "1.2.2")
    films = place.folder / "films"
    (films / f"{lost}.film").unlink()
    old, young = films / "01OLD.film", films / "01YOUNG.film"
    for path in (old, young):
        path.write_bytes(b"cut off")
    os.utime(old, (0, 0))
    outbox.sweep()
    assert {path.stem for path in films.iterdir()} == {kept, "01YOUNG"}
    (failed,) = outbox.films("failed")
    assert (failed.id, failed.code) == (lost, "film_lost")


def test_a_film_that_was_swept_before_it_had_a_row_is_not_acknowledged(
    place: Place, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process stood still for long, as in a machine that sleeps."""
    other, write = place.open(), outbox.sealed.write

    def write_slowly(film_id: str, data: bytes) -> None:
        write(film_id, data)
        os.utime(place.folder / "films" / f"{film_id}.film", (0, 0))
        other.sweep()

    monkeypatch.setattr(outbox.sealed, "write", write_slowly)
    with pytest.raises(QueueAway):
        keep(outbox)
    assert outbox.films() == []
    other.close()


def test_a_film_that_was_changed_on_the_disk_is_not_read(place: Place, outbox: Outbox) -> None:
    first, second = keep(outbox, "1.2.1"), keep(outbox, "1.2.2")
    files = [place.folder / "films" / f"{film_id}.film" for film_id in (first, second)]
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(FilmLost):
        outbox.film(first)
    assert outbox.film(second) == FILM


def test_many_processes_read_each_film_once(place: Place) -> None:
    code = (
        "import sys\n"
        "from datetime import timedelta\n"
        "from pathlib import Path\n"
        "from app.records.outbox.outbox import Outbox\n"
        "sys.stdin.readline()\n"
        "o = Outbox.open(Path(sys.argv[1]), None, most_bytes=2**20, kept_for=timedelta(1))\n"
        "for number in range(10):\n"
        "    o.keep(b'film', sop_uid=f'1.{number}', study_uid='1', way='file')\n"
        "while (film := o.take()) is not None:\n"
        "    if o.finish(film.id, outcome='refused', code='x', partners={}):\n"
        "        print(film.sop_uid, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(place.folder)]
    readers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.write("go\n")
        reader.stdin.flush()
    said = [uid for reader in readers for uid in reader.communicate(timeout=60)[0].split()]
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert sorted(said) == sorted(f"1.{number}" for number in range(10))
