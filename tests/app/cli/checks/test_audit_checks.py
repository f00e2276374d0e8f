"""app.cli.checks.audit_checks: folder, key and database of the audit trail; nothing is made."""

from pathlib import Path

import pytest

from app.cli.checks.audit_checks import check_audit
from app.settings.settings import Settings
from tests.app.records.trails import Place


def settings_at(folder: Path, **settings: object) -> Settings:
    told = {"audit_folder": str(folder / "audit"), "audit_key_file": str(folder / "key")}
    return Settings.model_validate(told | settings)


def test_without_a_folder_it_says_that_nothing_is_written_down() -> None:
    found = check_audit(Settings())
    assert found.level == "ok"
    assert found.text.startswith("nothing is written down")


def test_what_is_not_there_yet_is_told_and_not_made(tmp_path: Path) -> None:
    found = check_audit(settings_at(tmp_path))
    assert found.level == "ok"
    assert found.text == (
        f"{tmp_path}/audit/audit.sqlite will be made; a key will be made: {tmp_path}/key"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_trail_that_is_kept_is_told_with_its_key(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit", audit_key_file=str(tmp_path / "key"))
    place.write(1)
    found = check_audit(place.settings)
    assert (found.level, found.text.rpartition("; ")[2]) == ("ok", f"its key is {tmp_path}/key")


def test_a_key_beside_its_database_is_a_warning(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit")
    place.write(1)
    found = check_audit(place.settings)
    assert found.level == "warn"
    assert "lies beside its database" in found.text
    assert "NEUMO_AUDIT_KEY_FILE" in found.advice


def test_a_key_that_others_may_read_is_a_warning(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit", audit_key_file=str(tmp_path / "key"))
    place.write(1)
    (tmp_path / "key").chmod(0o644)
    found = check_audit(place.settings)
    assert (found.level, found.advice) == ("warn", f"chmod 600 {tmp_path}/key")


def test_a_key_that_is_gone_stops_the_start(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit", audit_key_file=str(tmp_path / "key"))
    place.write(1)
    (tmp_path / "key").unlink()
    found = check_audit(place.settings)
    assert found.level == "fail"
    assert "is not there, and rows were chained by it" in found.text
    assert not (tmp_path / "key").exists()


def test_a_place_that_is_no_folder_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    found = check_audit(settings_at(tmp_path))
    assert (found.level, found.text) == ("fail", f"{tmp_path}/audit can't be written")


def test_a_url_of_another_kind_of_database_stops_the_start(tmp_path: Path) -> None:
    found = check_audit(settings_at(tmp_path, audit_database="mysql://h/d"))
    assert found.level == "fail"
    assert found.advice == "Check NEUMO_AUDIT_DATABASE."


def test_a_postgresql_that_does_not_answer_is_a_warning_without_its_password(
    tmp_path: Path,
) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    url = "postgresql://somebody:geheim@127.0.0.1:9/none"  # nobody listens
    found = check_audit(settings_at(tmp_path, audit_database=url))
    assert found.level == "warn"
    assert "geheim" not in found.text
    assert found.text.startswith("postgresql://somebody:***@127.0.0.1:9/none does not answer")


def test_spools_that_the_disk_can_not_hold_are_a_warning(tmp_path: Path) -> None:
    found = check_audit(settings_at(tmp_path, audit_spool_bytes=2**40, workers=64))
    assert found.level == "warn"
    assert "NEUMO_AUDIT_SPOOL_BYTES" in found.advice
