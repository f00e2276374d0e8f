"""app.records: from what was seen to the database, whatever happens on the way."""

import json
import os
from pathlib import Path

import pytest

from app.errors import RecordsFull
from app.records.store import delivery, spool
from app.records.store.opening import open_records
from app.records.store.spool import SUFFIX, Spool
from app.service.witness import Origin
from tests.app.records.trails import Place, wait_until
from tests.postgresql import Cluster


def labels(place: Place) -> list[str]:
    return [row["label"] for row in place.rows() if row["kind"] == "reading"]


def test_what_was_seen_is_in_the_database_after_a_stop(place: Place) -> None:
    with place.trail() as trail:
        for number in range(1200):  # more than one transaction
            trail.append("reading", Origin("id", "ward 3", "/predict", number), label=f"{number}")
    assert labels(place) == [f"{number}" for number in range(1200)]
    (row, *_) = [row for row in place.rows() if row["kind"] == "reading"]
    assert (row["request_id"], row["key_name"], row["call"]) == ("id", "ward 3", "/predict")
    verdict = place.verify()
    assert (verdict.findings, verdict.open_chains, verdict.rows) == ([], 0, 1202)
    assert not any(place.folder.glob("*.spool"))
    assert not any(place.folder.glob("*.head"))


def test_chains_of_several_workers_stand_side_by_side(place: Place) -> None:
    with place.trail() as first, place.trail() as second:
        for _ in range(50):
            first.append("reading", label="first")
            second.append("reading", label="second")
    assert sorted(labels(place)) == ["first"] * 50 + ["second"] * 50
    verdict = place.verify()
    assert (verdict.findings, verdict.chains, verdict.seals) == ([], 2, 2)


def test_each_day_is_sealed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [4_102_358_400, 4_102_358_401, 4_102_444_800, 4_102_444_801, 4_102_531_200]
    clock = iter([days[0], *days, days[-1]])
    monkeypatch.setattr("app.records.trail.time_ns", lambda: next(clock) * 10**9)
    with place.trail() as trail:
        for _ in days:
            trail.append("reading")
    assert [row["segment"] for row in place.rows()] == [
        "2099-12-31", "2099-12-31", "2099-12-31", "2100-01-01", "2100-01-01", "2100-01-02",
        "2100-01-02",
    ]  # fmt: skip
    verdict = place.verify()
    assert (verdict.findings, verdict.seals, verdict.open_chains) == ([], 3, 0)


def test_a_day_that_ends_without_another_row_is_sealed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.trail() as trail:
        trail.append("reading")
        wait_until(lambda: len(place.rows()) == 2)
        monkeypatch.setattr(delivery, "_day", lambda _=0: "9999-12-31")
        wait_until(lambda: place.verify().seals == 1)
        monkeypatch.undo()
        assert place.verify().open_chains == 1
        trail.append("reading")
    verdict = place.verify()
    assert (verdict.findings, verdict.rows, verdict.seals) == ([], 4, 2)


def test_a_clock_that_is_set_back_keeps_days_in_order(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([4_102_444_800, 4_102_358_400, 4_102_358_400])
    monkeypatch.setattr("app.records.trail.time_ns", lambda: next(clock) * 10**9)
    with place.trail() as trail:
        trail.append("reading")
    assert {row["segment"] for row in place.rows()} == {"2100-01-01"}
    assert place.verify().findings == []


def test_old_segments_are_dropped_and_the_rest_is_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(3)
    place.write(2)
    key, database = open_records(place.settings)
    deliverer = delivery.Delivery(database, key, place.folder)
    assert deliverer.drop_old(1) == 0
    monkeypatch.setattr(delivery, "_day", lambda shift=0: f"9999-12-{31 + shift}")
    assert deliverer.drop_old(1) == 2
    assert deliverer.drop_old(1) == 0
    monkeypatch.undo()
    database.close()
    assert place.rows() == []
    place.write(1)
    verdict = place.verify()
    assert (verdict.findings, verdict.rows, verdict.dropped) == ([], 3, 2)


def test_the_days_that_are_left_of_a_chain_are_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([4_102_358_400, 4_102_444_800, 4_102_531_200])
    monkeypatch.setattr("app.records.trail.time_ns", lambda: next(clock) * 10**9)
    with place.trail() as trail:
        trail.append("reading")
    key, database = open_records(place.settings)
    monkeypatch.setattr(delivery, "_day", lambda _=0: "2100-01-02")
    assert delivery.Delivery(database, key, place.folder).drop_old(1) == 2
    database.close()
    assert [row["seq"] for row in place.rows()] == [3]
    assert place.verify().findings == []


def test_dropping_by_hand_is_no_retention(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit")
    place.write(1)
    place.sql("DELETE FROM audit_row WHERE segment < '9999'")
    assert place.findings() == [("missing", "rows 1 to 3")]


@pytest.fixture
def abandoned(place: Place) -> Place:
    """A trail whose process was killed between disk and database: three rows lie in its spool."""
    trail = place.new_trail()
    trail.append("open")
    trail.append("reading", label="first")
    trail.append("reading", label="last")
    trail._writer.start()
    trail._writer.stop()
    assert trail._writer.ended.wait(10)
    trail._courier._spool.close()
    trail.database.close()
    assert len([*place.folder.glob(f"*{SUFFIX}")]) == 1
    return place


def test_rows_of_a_killed_worker_are_delivered_by_another(abandoned: Place) -> None:
    with abandoned.trail():
        wait_until(lambda: labels(abandoned) == ["first", "last"])
    verdict = abandoned.verify()
    assert (verdict.findings, verdict.chains, verdict.open_chains) == ([], 2, 0)
    assert not any(abandoned.folder.glob("*.spool"))


def test_a_line_that_a_crash_cut_off_is_no_row(abandoned: Place) -> None:
    (path,) = abandoned.folder.glob(f"*{SUFFIX}")
    with path.open("ab") as file:
        file.write(b'{"chain": "' + path.stem.encode() + b'", "seq": 4, "kind": "rea')
    with abandoned.trail():
        wait_until(lambda: labels(abandoned) == ["first", "last"])
    assert abandoned.verify().findings == []
    assert not any(abandoned.folder.glob("*.spool"))


def test_rows_that_are_there_already_are_not_written_twice(abandoned: Place) -> None:
    """The process was killed after its rows were committed and before it knew."""
    (path,) = abandoned.folder.glob(f"*{SUFFIX}")
    kept = path.read_bytes()
    with abandoned.trail():
        wait_until(lambda: labels(abandoned) == ["first", "last"])
    path.write_bytes(kept)
    with abandoned.trail():
        wait_until(lambda: not path.exists())
    assert labels(abandoned) == ["first", "last"]
    verdict = abandoned.verify()
    assert (verdict.findings, verdict.seals) == ([], 3)


def test_a_spooled_row_that_was_changed_is_named(abandoned: Place) -> None:
    (path,) = abandoned.folder.glob(f"*{SUFFIX}")
    path.write_bytes(path.read_bytes().replace(b'"first"', b'"third"'))
    with abandoned.trail():
        wait_until(lambda: labels(abandoned) == ["third", "last"])
    assert abandoned.findings() == [("changed", "row 2")]


def test_a_spool_belongs_to_one_process(tmp_path: Path) -> None:
    mine = Spool.create(tmp_path, "chain")
    assert Spool.adopt(mine.path) is None
    mine.close()
    theirs = Spool.adopt(mine.path)
    assert theirs is not None
    theirs.remove()
    assert Spool.adopt(mine.path) is None


def test_without_its_database_rows_wait_on_disk(tmp_path: Path, postgresql: Cluster) -> None:
    place = Place(tmp_path / "audit", audit_database=postgresql.make())
    with place.trail() as trail:
        wait_until(lambda: place.metric("neumo_audit_rows_total", kind="open") == 1)
        postgresql.stop()
        try:
            for number in range(20):
                trail.append("reading", label=f"{number}")
            failed = {"where": "database"}
            wait_until(lambda: (place.metric("neumo_audit_failures_total", **failed) or 0) > 0)
            (path,) = place.folder.glob(f"*{SUFFIX}")
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
            assert [line["label"] for line in lines] == [f"{number}" for number in range(20)]
            assert place.metric("neumo_audit_spool_bytes") == path.stat().st_size
            assert (place.metric("neumo_audit_lag_seconds") or 0) > 0
            trail.check()
        finally:
            postgresql.start()
        wait_until(lambda: len(labels(place)) == 20, limit_s=30)
        wait_until(lambda: place.metric("neumo_audit_lag_seconds") == 0)
    assert labels(place) == [f"{number}" for number in range(20)]
    assert place.verify().findings == []


NOWHERE = "postgresql://nobody@127.0.0.1:9/none"
"""Port 9 (discard): nobody listens there."""


@pytest.mark.parametrize("when_full", ["count", "refuse"])
def test_a_full_spool_is_counted_or_refuses(tmp_path: Path, when_full: str) -> None:
    place = Place(
        tmp_path / "audit",
        audit_database=NOWHERE, audit_spool_bytes=64 * 2**10, audit_when_full=when_full,
    )  # fmt: skip
    trail = place.new_trail()
    trail.start()
    for _ in range(40):
        trail.append("reading", label="x" * 2000)
    wait_until(lambda: place.metric("neumo_audit_full") == 1)
    (path,) = place.folder.glob(f"*{SUFFIX}")
    assert path.stat().st_size <= 64 * 2**10
    if when_full == "refuse":
        with pytest.raises(RecordsFull):
            trail.check()
    else:
        trail.check()
    trail.stop()


def test_rows_without_room_are_counted_and_told_by_the_trail(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes nothing for a while."""
    monkeypatch.setattr("app.records.writer.MOST_WAITING", 10)
    with place.trail() as trail:
        wait_until(lambda: len(place.rows()) == 1)
        with monkeypatch.context() as patched:
            patched.setattr(spool.os, "pwrite", _no_space)
            trail.append("reading", label="waits")
            wait_until(lambda: place.metric("neumo_audit_full") == 1)
            for number in range(12):
                trail.append("reading", label=f"{number}")
        wait_until(lambda: place.metric("neumo_audit_full") == 0)
    assert place.metric("neumo_audit_lost_total") == 3
    assert place.metric("neumo_audit_failures_total", where="spool") == 1
    assert labels(place) == ["waits", *(f"{number}" for number in range(9))]
    assert [row["lost"] for row in place.rows() if row["kind"] == "lost"] == [3]
    assert place.verify().findings == []


def _no_space(*_: object) -> int:
    raise OSError(28, os.strerror(28))


@pytest.mark.anyio
async def test_who_waits_for_a_row_is_told_when_it_is_on_disk_or_can_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "audit", audit_flush_ms=60_000)
    trail = place.new_trail()
    trail.start()
    await trail.write("feedback", Origin("id"), truth=["normal"])
    assert [row["truth"] for row in place.rows() if row["kind"] == "feedback"] in (
        [], ['["normal"]'],
    )  # fmt: skip
    monkeypatch.setattr(spool.os, "pwrite", _no_space)
    with pytest.raises(RecordsFull):
        await trail.write("feedback", Origin("id"), truth=["covid19"])
    monkeypatch.undo()
    trail.stop()
    assert [row["truth"] for row in place.rows() if row["kind"] == "feedback"] == ['["normal"]']


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = tmp_path / "elsewhere" / "audit.key"
    place = Place(tmp_path / "audit", audit_key_file=str(key))
    place.write(1)
    first = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (place.folder / "audit.key").exists()
    place.write(1)
    assert key.read_text() == first
    assert len(bytes.fromhex(first.strip())) == 32
    assert place.verify().findings == []
