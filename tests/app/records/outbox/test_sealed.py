"""What the queue writes shows no patient, and opens with its own key alone."""

import os
import sqlite3
from pathlib import Path

import pytest

from app.errors import ExchangeFolderUnusable, ExchangeKeyUnusable, FilmLost
from app.records.integrity.seal import Seal, open_seal
from app.records.outbox.outbox import Outbox
from tests.app.records.outbox.queues import SOP_UID, STUDY_UID, Place, keep, read

KEY = bytes(range(32))


def test_what_is_sealed_opens_in_its_own_place_alone() -> None:
    seal = Seal(KEY)
    sealed = seal.close("film:1", b"CANARY")
    assert b"CANARY" not in sealed
    assert seal.open("film:1", sealed) == b"CANARY"
    assert seal.close("film:1", b"CANARY") != sealed, "never the same nonce"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for place, content, key in (
        ("film:2", sealed, KEY),
        ("film:1", changed, KEY),
        ("film:1", sealed[:20], KEY),
        ("film:1", b"", KEY),
        ("film:1", sealed, bytes(32)),
    ):
        with pytest.raises(FilmLost):
            Seal(key).open(place, content)


def test_a_uid_is_looked_up_by_what_does_not_show_it() -> None:
    digest = Seal(KEY).digest(SOP_UID)
    assert digest == Seal(KEY).digest(SOP_UID)
    assert digest != Seal(bytes(32)).digest(SOP_UID)
    assert len(digest) == 64


def test_nothing_in_the_folder_names_a_patient_or_a_study(place: Place, outbox: Outbox) -> None:
    read(outbox)
    keep(outbox, "1.2.826.0.1.3680043.10.1.777003")
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    written = b"".join(path.name.encode() + path.read_bytes() for path in files)
    assert {path.suffix for path in files} >= {".film", ".sqlite", ".sqlite-wal", ".key"}
    names = ("CANARY", SOP_UID, STUDY_UID, "777003", "2.25.1001", "2.25.1002", "normal")
    assert [name for name in names if name.encode() in written] == []
    assert [oct(path.stat().st_mode) for path in files if path.stat().st_mode & 0o077] == []
    assert place.folder.stat().st_mode & 0o077 == 0


def test_another_key_is_refused(place: Place, tmp_path: Path) -> None:
    place.open().close()
    other = tmp_path / "other.key"
    other.write_text("ab" * 32)
    with pytest.raises(ExchangeKeyUnusable, match="encrypted by another key"):
        place.open(key_file=other)


def test_a_key_that_is_lost_is_told_and_not_made_anew(place: Place) -> None:
    place.open().close()
    key = place.folder / "exchange.key"
    key.unlink()
    with pytest.raises(ExchangeKeyUnusable, match="is not there, and the queue was encrypted"):
        place.open()
    assert not key.exists()


def test_a_key_is_on_the_disk_by_its_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), key.exists()))
        sync(descriptor)

    key = tmp_path / "secret" / "exchange.key"
    monkeypatch.setattr(os, "fsync", note)
    open_seal(key, is_begun=False)
    assert synced[-1] == (key.parent, True)


def test_what_is_no_key_is_refused(place: Place, tmp_path: Path) -> None:
    broken = tmp_path / "broken.key"
    broken.write_text("none")
    with pytest.raises(ExchangeKeyUnusable, match="64 hexadecimal digits"):
        place.open(key_file=broken)


def test_the_queue_of_a_newer_version_is_refused(place: Place) -> None:
    place.open().close()
    with sqlite3.connect(place.folder / "exchange.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ExchangeFolderUnusable, match="another version of Neumo"):
        place.open()


def test_what_is_no_database_is_refused(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "exchange.key").write_text("ab" * 32)
    (place.folder / "exchange.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ExchangeFolderUnusable, match="SQLITE_NOTADB"):
        place.open()


def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExchangeFolderUnusable):
        Place(tmp_path / "file" / "exchange").open()
