"""app.records.integrity.verification: every way to change the trail by hand is found, and named."""

import json
import shutil
from pathlib import Path

import pytest

from app.errors import AuditKeyUnusable
from app.records.store.ledger import Mark
from tests.app.records.trails import FREE, Place, wait_until


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A trail of one chain that ended: open (row 1), five readings (2 to 6), close (7)."""
    place = Place(tmp_path / "audit")
    place.write(5)
    return place


def test_an_untouched_trail_is_whole(place: Place) -> None:
    verdict = place.verify()
    assert verdict.findings == []
    assert (verdict.rows, verdict.chains, verdict.open_chains, verdict.seals) == (7, 1, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        "label = 'covid19'", "time = '2026-01-01T00:00:00.000000Z'", "request_id = 'id-9'",
        "key_name = 'somebody'", "image_sha256 = '0'", "probabilities = '{}'", "label = NULL",
        "mac = previous", "previous = mac", "decode_ms = 0.001", "truth = '[\"normal\"]'",
    ],
)  # fmt: skip
def test_a_changed_row_is_named(place: Place, change: str) -> None:
    place.sql(FREE, f"UPDATE audit_row SET {change} WHERE seq = 4")  # noqa: S608
    assert ("changed", "row 4") in place.findings()
    assert {where for _, where in place.findings()} <= {"row 4", "row 5"}


def test_a_removed_row_is_named(place: Place) -> None:
    place.sql("DELETE FROM audit_row WHERE seq = 4")
    assert place.findings() == [("missing", "row 4")]


def test_removed_rows_are_named(place: Place) -> None:
    place.sql("DELETE FROM audit_row WHERE seq IN (1, 2, 4)")
    assert place.findings() == [("missing", "rows 1 to 2"), ("missing", "row 4")]


def test_rows_moved_up_to_hide_a_gap_are_named(place: Place) -> None:
    place.sql(
        FREE,
        "DELETE FROM audit_row WHERE seq = 4",
        "UPDATE audit_row SET seq = seq - 1 WHERE seq = 5",
        "UPDATE audit_row SET seq = seq - 1 WHERE seq = 6",
        "UPDATE audit_row SET seq = seq - 1 WHERE seq = 7",
    )
    assert place.findings() == [
        ("changed", "row 4"), ("changed", "row 5"), ("changed", "row 6"), ("missing", "row 7"),
    ]  # fmt: skip


def test_swapped_rows_are_named(place: Place) -> None:
    place.sql(
        FREE,
        "UPDATE audit_row SET seq = 99 WHERE seq = 3",
        "UPDATE audit_row SET seq = 3 WHERE seq = 5",
        "UPDATE audit_row SET seq = 5 WHERE seq = 99",
    )
    found = place.findings()
    assert ("changed", "row 3") in found
    assert ("changed", "row 5") in found
    assert {where for _, where in found} <= {"row 3", "row 4", "row 5", "row 6"}


COLUMNS = "segment, time, kind, request_id, label, previous, mac"


def copy_of(seq: int, new_seq: int, chain: str = "chain") -> str:
    into = f"INSERT INTO audit_row (chain, seq, {COLUMNS})"
    taken = f"SELECT {chain}, {new_seq}, {COLUMNS} FROM audit_row"  # noqa: S608
    return f"{into} {taken} WHERE seq = {seq}"


def test_a_row_put_behind_the_end_is_named(place: Place) -> None:
    place.sql(copy_of(3, 8))
    assert place.findings() == [("changed", "row 8"), ("inserted", "row 8")]


def test_a_row_put_in_between_is_named(place: Place) -> None:
    moved = "UPDATE audit_row SET seq = seq + 1 WHERE seq = "
    place.sql(FREE, f"{moved} 7", f"{moved} 6", f"{moved} 5", copy_of(3, 5))
    found = place.findings()
    assert ("changed", "row 5") in found
    assert ("inserted", "row 8") in found


def test_a_row_of_a_chain_that_nobody_began_is_named(place: Place) -> None:
    place.sql(copy_of(2, 1, "'01ARZ3NDEKTSV4RRFFQ69G5FAV'"))
    assert place.findings() == [("changed", "row 1"), ("forgotten", "the head of")]


def test_a_cut_off_end_is_named(place: Place) -> None:
    place.sql("DELETE FROM audit_row WHERE seq > 4")
    assert place.findings() == [("missing", "rows 5 to 7")]


def test_a_chain_that_is_gone_is_named(place: Place) -> None:
    place.sql("DELETE FROM audit_row")
    assert place.findings() == [("missing", "rows 1 to 7")]


def test_a_cut_off_end_with_its_seal_is_named(place: Place) -> None:
    """The folder, outside the database, keeps the last seal."""
    place.sql("DELETE FROM audit_row", "DELETE FROM audit_ledger WHERE number > 1")
    assert place.findings() == [("missing", "ledger 2")]


def test_a_database_set_back_to_an_earlier_state_is_named(place: Place, tmp_path: Path) -> None:
    shutil.copy(place.folder / "audit.sqlite", tmp_path / "earlier")
    place.write(2)
    shutil.copy(tmp_path / "earlier", place.folder / "audit.sqlite")
    assert place.findings() == [("missing", "ledger 3")]


def test_folder_and_database_set_back_are_found_by_a_seal_kept_elsewhere(
    place: Place, tmp_path: Path
) -> None:
    shutil.copytree(place.folder, tmp_path / "earlier")
    place.write(2)
    last = place.verify().last
    assert last is not None
    assert place.verify(expected=last).findings == []
    shutil.rmtree(place.folder)
    shutil.copytree(tmp_path / "earlier", place.folder)
    assert place.verify().findings == []  # nothing here knows more
    assert [each.where for each in place.verify(expected=last).findings] == ["ledger 3"]
    other = Mark(2, last.mac)
    assert [each.what for each in place.verify(expected=other).findings] == ["changed"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE audit_ledger SET last_seq = 5 WHERE number = 2", ("changed", "ledger 2")),
        ("UPDATE audit_ledger SET kind = 'drop' WHERE number = 2", ("changed", "ledger 2")),
        ("DELETE FROM audit_ledger WHERE number = 1", ("missing", "ledger 1")),
    ],
)
def test_a_changed_ledger_is_named(place: Place, change: str, found: tuple[str, str]) -> None:
    place.sql(change)
    assert found in place.findings()


def test_seals_that_change_places_are_named(place: Place) -> None:
    place.write(1)
    place.sql(
        "UPDATE audit_ledger SET number = 9 WHERE number = 2",
        "UPDATE audit_ledger SET number = 2 WHERE number = 3",
        "UPDATE audit_ledger SET number = 3 WHERE number = 9",
    )
    assert {("changed", "ledger 2"), ("changed", "ledger 3")} <= set(place.findings())


def test_the_end_of_a_live_chain_cut_off_with_its_head_is_named(tmp_path: Path) -> None:
    """What the database says of its end can be set back; the folder has it too."""
    place = Place(tmp_path / "audit")
    with place.trail() as trail:
        for _ in range(3):
            trail.append("reading", label="normal")
        wait_until(lambda: place.metric("neumo_audit_rows_total", kind="reading") == 3)
        wait_until(lambda: len(place.rows()) == 4)
        assert place.verify().findings == []
        assert place.verify().open_chains == 1
        place.sql("DELETE FROM audit_row WHERE seq > 2", "DELETE FROM audit_head")
        assert place.findings() == [("missing", "rows 3 to 4")]


def test_a_changed_head_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit")
    with place.trail():
        wait_until(lambda: any(place.folder.glob("*.head")))
        place.sql("UPDATE audit_head SET seq = 0")
        (head,) = place.folder.glob("*.head")
        values = json.loads(head.read_text())
        head.write_text(json.dumps(values | {"seq": 0}))
        assert {("changed", "the database's head of"), ("changed", "the folder's head of")} <= set(
            place.findings()
        )


def test_a_changed_mark_is_named(place: Place) -> None:
    mark = json.loads((place.folder / "ledger.last").read_text())
    (place.folder / "ledger.last").write_text(json.dumps(mark | {"number": 1}))
    assert place.findings() == [("changed", "the folder's ledger.last")]


def test_another_key_finds_every_row(place: Place) -> None:
    (place.folder / "audit.key").write_text("0" * 64)
    assert [what for what, _ in place.findings()].count("changed") >= 7


def test_a_lost_key_is_not_made_anew(place: Place) -> None:
    (place.folder / "audit.key").unlink()
    with pytest.raises(AuditKeyUnusable, match="rows were chained by it"):
        place.new_trail()
