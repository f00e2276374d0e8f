"""``neumo outbox``: what it shows of the queue, and what it does with it."""

import json
from pathlib import Path

import pytest

from app.cli.command import main
from app.records.outbox.outbox import Outbox
from tests.app.records.outbox.queues import FHIR, PACS, SOP_UID, STUDY_UID, Place, keep, read
from tests.ptys import show

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Where the environment says that the queue lies; it is made."""
    place = Place(tmp_path / "exchange")
    place.clock.now_s = 4e9  # nothing is kept too long
    place.open().close()
    monkeypatch.setenv("NEUMO_EXCHANGE_FOLDER", str(place.folder))
    return place


@pytest.fixture
def ids(place: Place) -> dict[str, str]:
    """Fill it: a film of each state, a delivery of each state; their ids."""
    outbox = place.open()
    ids = {"read": read(outbox)}
    for state in ("refused", "failed"):
        ids[state] = keep(outbox, f"1.2.{state}")
        outbox.take()
        outbox.finish(ids[state], outcome=state, code=f"{state}_code", partners={})
    ids["waiting"] = keep(outbox, "1.2.9")
    due = {each.kind: each for each in outbox.due(PACS)}  # made at once: in no order
    report, picture = due["sr"], due["sc"]
    outbox.delivered(report.id)
    outbox.put_off(picture.id, "status_0xA900", again_in=None)
    ids["sr"], ids["sc"] = report.id, picture.id
    ids["fhir"] = next(row.id for row in outbox.deliveries() if row.kind == "fhir")
    outbox.close()
    return ids


def listed(capsys: Out, *arguments: str) -> list[dict[str, object]]:
    assert main(["outbox", "list", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_is_not_done_is_listed_a_line_each(ids: dict[str, str], capsys: Out) -> None:
    rows = listed(capsys)
    assert {row["id"]: (row["what"], row["state"], row["code"]) for row in rows} == {
        ids["refused"]: ("film", "refused", "refused_code"),
        ids["failed"]: ("film", "failed", "failed_code"),
        ids["waiting"]: ("film", "waiting", None),
        ids["sc"]: ("sc", "dead", "status_0xA900"),
        ids["fhir"]: ("fhir", "waiting", None),
    }
    (fhir,) = (row for row in rows if row["what"] == "fhir")
    assert (fhir["film"], fhir["partner"]) == (ids["read"], FHIR)
    assert (fhir["since"], fhir["due"]) == ("2096-10-02T07:06:40Z", "2096-10-02T07:06:40Z")


def test_all_is_listed_or_what_is_stuck_or_what_is_of_one_film(
    ids: dict[str, str], capsys: Out
) -> None:
    assert {row["id"] for row in listed(capsys, "--all")} == set(ids.values())
    stuck = {ids["refused"], ids["failed"], ids["sc"]}
    assert {row["id"] for row in listed(capsys, "--dead")} == stuck
    of_one = {ids["read"], ids["sr"], ids["sc"], ids["fhir"]}
    assert {row["id"] for row in listed(capsys, "--uid", SOP_UID)} == of_one
    assert listed(capsys, "--uid", "1.2.3.4") == []


def test_people_get_a_table_and_nobody_a_patient(ids: dict[str, str], capsys: Out) -> None:
    shown = show("outbox", "list", "--all", columns=160).text
    assert ids["sc"] in shown
    assert "status_0xA900" in shown
    assert main(["outbox", "list", "--all"]) == 0
    written = shown + capsys.readouterr().out
    assert [name for name in (SOP_UID, STUDY_UID, "CANARY", "2.25.") if name in written] == []


def test_a_dead_letter_is_sent_again(ids: dict[str, str], place: Place, capsys: Out) -> None:
    assert main(["outbox", "retry", ids["sc"]]) == 0
    assert "1 to be done again" in capsys.readouterr().err
    outbox = place.open()
    assert [due.id for due in outbox.due(PACS)] == [ids["sc"]]
    outbox.close()


def test_all_that_is_stuck_is_done_again_but_what_was_refused(
    ids: dict[str, str], place: Place
) -> None:
    assert main(["outbox", "retry", "--dead"]) == 0
    outbox = place.open()
    states = {row.id: row.state for row in outbox.films()}
    assert (states[ids["failed"]], states[ids["refused"]]) == ("waiting", "refused")
    assert outbox.deliveries("dead") == []
    outbox.close()


def test_entries_are_dropped(ids: dict[str, str], place: Place) -> None:
    assert main(["outbox", "drop", ids["waiting"], ids["fhir"]]) == 0
    assert main(["outbox", "drop", "--dead"]) == 0
    outbox = place.open()
    left = {row.id for row in [*outbox.films(), *outbox.deliveries()]}
    outbox.close()
    assert left == {ids["read"], ids["sr"]}


def test_an_id_that_is_none_is_told(ids: dict[str, str], capsys: Out) -> None:
    assert main(["outbox", "drop", "01NONE", ids["fhir"]]) == 1
    err = capsys.readouterr().err
    assert "nothing was done with 01NONE" in err
    assert "1 dropped" in err


@pytest.mark.parametrize("arguments", [["drop"], ["retry"], ["drop", "--dead", "01X"]])
def test_it_has_to_be_said_which_are_meant(arguments: list[str], capsys: Out) -> None:
    assert main(["outbox", *arguments]) == 2
    assert "give ids" in capsys.readouterr().err


def test_a_folder_without_a_queue_stays_without(tmp_path: Path, capsys: Out) -> None:
    folder = tmp_path / "other"
    assert main(["outbox", "list", "--folder", str(folder)]) == 3
    assert "there is no queue in it" in capsys.readouterr().err
    assert not folder.exists()


def test_a_wrong_key_is_told(tmp_path: Path, capsys: Out) -> None:
    key = tmp_path / "other.key"
    key.write_text("ab" * 32)
    assert main(["outbox", "list", "--key-file", str(key)]) == 3
    assert "encrypted by another key" in capsys.readouterr().err


def test_without_a_folder_it_asks_for_one(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.delenv("NEUMO_EXCHANGE_FOLDER")
    assert main(["outbox", "list"]) == 2
    assert "NEUMO_EXCHANGE_FOLDER" in capsys.readouterr().err


@pytest.mark.usefixtures("ids")
def test_the_queue_may_be_in_use(place: Place, capsys: Out) -> None:
    running: Outbox = place.open()
    assert running.take() is not None
    assert len(listed(capsys)) == 5
    assert running.take() is None, "what it had taken is still its own"
    running.close()


def test_results_follow_a_partner_that_moved(
    ids: dict[str, str], place: Place, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = "https://pacs.example/dicom-web"
    assert main(["outbox", "move", PACS, moved]) == 2
    assert "NEUMO_PARTNERS" in capsys.readouterr().err
    monkeypatch.setenv("NEUMO_PARTNERS", moved)
    assert main(["outbox", "move", PACS, moved]) == 0
    assert main(["outbox", "move", PACS, moved]) == 1
    outbox = place.open()
    assert [due.id for due in outbox.due(moved)] == [ids["sc"]]
    outbox.close()
