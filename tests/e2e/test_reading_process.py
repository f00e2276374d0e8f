"""The process that reads and delivers is killed at the worst moments: nothing is lost or twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pynetdicom import evt

from app.exchange.reading_process import HUNG
from app.records.outbox.outbox import Outbox
from app.render.hospital.result_uid import result_uid
from tests.app.cli.readings import NAMES
from tests.app.exchange.partners.archives import Archive
from tests.app.render.hospital.results import INSTANCE, PATIENT, STUDY, film
from tests.conftest import ROOT
from tests.models import FakeModel

_PATIENCE_S = 90.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exchange"


@pytest.fixture
def outbox(folder: Path) -> Iterator[Outbox]:
    opened = Outbox.open(folder, None, most_bytes=2**26, kept_for=timedelta(hours=1))
    yield opened
    opened.close()


@contextmanager
def reading(
    folder: Path, mode: str = "plain", partners: str = "", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the process; its log is folder.log. It is ended on leaving, by its own id."""
    own = {
        "NEUMO_EXCHANGE_FOLDER": str(folder),
        "NEUMO_PARTNERS": partners,
        "NEUMO_DELIVERY_BACKOFF_S": "0.2",
        "NEUMO_DELIVERY_TIMEOUT_S": "5",
    }
    command = [sys.executable, "-m", "tests.reading_child", mode]
    with (
        folder.with_suffix(".log").open("a") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=os.environ | own | environment,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_until(is_so: Callable[[], object]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < until_s, "it did not come to that"
        time.sleep(0.05)


def is_done(outbox: Outbox) -> bool:
    counts = outbox.counts()
    waits = [state for _, state in counts.deliveries if state == "waiting"]
    return not counts.films.get("waiting") and not waits


def keep(outbox: Outbox, sop_uid: str = INSTANCE, data: bytes | None = None) -> str:
    return outbox.keep(data or film(), sop_uid=sop_uid, study_uid=STUDY, way="dimse").id


def own_uids() -> set[str]:
    points = dict.fromkeys((name["id"] for name in NAMES), 0.5)
    card = FakeModel(card={"labels": NAMES, "operating_points": points}).card
    return {result_uid(kind, INSTANCE, card.sha256) for kind in ("sr", "sc")}


def test_a_film_is_read_and_its_results_arrive(folder: Path, outbox: Outbox) -> None:
    keep(outbox)
    with Archive().running() as archive, reading(folder, partners=archive.address) as process:
        wait_until(lambda: is_done(outbox) and archive.stored)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "it stops in order"
    assert {uid for uid, _ in archive.stored} == own_uids()
    assert len(archive.stored) == 2


def test_killed_while_it_reads_the_film_is_read_by_the_next(folder: Path, outbox: Outbox) -> None:
    film_id = keep(outbox)
    with Archive().running() as archive:
        with reading(folder, "hang", archive.address) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            process.kill()
            process.wait()
        assert archive.stored == []
        with reading(folder, partners=archive.address):
            wait_until(lambda: is_done(outbox) and archive.stored)
    (row,) = outbox.films()
    assert (row.id, row.state, row.attempts) == (film_id, "read", 2)
    assert {uid for uid, _ in archive.stored} == own_uids()
    assert len(archive.stored) == 2


def test_killed_after_it_sent_it_sends_the_same_again(folder: Path, outbox: Outbox) -> None:
    keep(outbox)
    victims: list[subprocess.Popen[str]] = []

    def kill_sender(_: evt.Event) -> None:
        if victims:
            victims.pop().kill()

    with Archive(on_store=kill_sender).running() as archive:
        with reading(folder, partners=archive.address) as process:
            victims.append(process)
            process.wait(_PATIENCE_S)
        assert len(archive.stored) == 1
        assert [row.state for row in outbox.deliveries()] == ["waiting", "waiting"]
        with reading(folder, partners=archive.address):
            wait_until(lambda: is_done(outbox))
    sent: dict[str, list[bytes]] = {}
    for uid, data in archive.stored:
        sent.setdefault(uid, []).append(data)
    assert set(sent) == own_uids()
    assert sorted(len(copies) for copies in sent.values()) == [1, 2]
    assert all(len(set(copies)) == 1 for copies in sent.values()), "the same bytes"


def test_a_film_that_kills_each_reader_is_given_up_and_the_next_one_read(
    folder: Path, outbox: Outbox
) -> None:
    black = film({0x00281050: ("DS", "60000"), 0x00281051: ("DS", "10")})
    poison, good = keep(outbox, "1.2.666", black), keep(outbox)
    for _ in range(3):
        with reading(folder, "poison") as process:
            assert process.wait(_PATIENCE_S) == -signal.SIGKILL
    with reading(folder, "poison"):
        wait_until(lambda: is_done(outbox))
    rows = {row.id: (row.state, row.code) for row in outbox.films()}
    assert rows == {poison: ("failed", "reader_killed"), good: ("read", None)}


def test_a_film_that_keeps_a_thread_ends_the_process_and_not_the_queue(
    folder: Path, outbox: Outbox
) -> None:
    black = film({0x00281050: ("DS", "60000"), 0x00281051: ("DS", "10")})
    stuck, good = keep(outbox, "1.2.666", black), keep(outbox)
    limits = {"NEUMO_DEADLINE_S": "1", "NEUMO_WORKER_TIMEOUT_S": "2", "NEUMO_THREADS": "1"}
    ends = []
    while not is_done(outbox):
        with reading(folder, "stuck", **limits) as process:
            wait_until(lambda process=process: process.poll() is not None or is_done(outbox))
            ends.append(process.poll())
    rows = {row.id: row.state for row in outbox.films()}
    assert rows == {stuck: "failed", good: "read"}
    assert ends[0] == HUNG


def test_nothing_of_a_patient_is_written_where_it_should_not_be(
    folder: Path, outbox: Outbox, tmp_path: Path
) -> None:
    keep(outbox)
    keep(outbox, "1.2.777001", film()[:3000])
    trail = {"NEUMO_AUDIT_FOLDER": str(tmp_path / "audit"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    refusing = Archive(statuses=(0xA900, 0x0110, 0x0000))
    with refusing.running(), reading(folder, partners=refusing.address, **trail):
        wait_until(lambda: is_done(outbox) and len(refusing.stored) == 3)
    names = [value for _, value in PATIENT.values() if len(value) > 5]
    names += [
        INSTANCE,
        "1.2.777001",
        STUDY,
        *own_uids(),
        "Doe^",
        "Jane",
        "MRN-4711",
    ]  # "Doe" is in any MB of noise
    written = b"".join(
        path.name.encode() + path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert b"a dead letter" in written, "the log is among it"
    assert b"image_truncated" in written, "and the audit trail"
    assert [name for name in names if name.encode() in written] == []


def test_a_model_that_can_not_be_loaded_ends_it(folder: Path) -> None:
    command = (
        "from app.exchange.reading_process import ReadingProcess\n"
        "from app.settings.settings import Settings\n"
        "ReadingProcess(Settings()).run([])\n"
    )
    environment = {"NEUMO_EXCHANGE_FOLDER": str(folder), "NEUMO_MODEL": str(folder / "none")}
    ended = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
