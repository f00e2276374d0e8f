"""app.cli.checks.place_checks: the port, and the folder of temporary files."""

import errno
import socket
import tempfile
from pathlib import Path

import pytest

from app.cli.checks import place_checks
from app.cli.checks.place_checks import (
    check_exchange,
    check_model_choice,
    check_port,
    check_temporary_files,
)
from app.errors import DicomExposed
from app.model.choice import Choice, write_choice
from app.records.outbox.outbox import Outbox
from app.settings.settings import Settings
from tests.server import free_port


def test_a_free_port_is_left_free() -> None:
    port = free_port()
    assert check_port(Settings(port=port)).text == f"127.0.0.1:{port} is free"
    with socket.create_server(("127.0.0.1", port)):
        assert check_port(Settings(port=port)).level == "fail"


def test_an_address_of_another_machine_is_told_with_what_to_do() -> None:
    found = check_port(Settings(host="192.0.2.1", port=8000))  # RFC 5737: nobody's
    assert found.level == "fail"
    assert "Set --host to an address of this machine" in found.advice


def test_a_low_port_that_may_not_be_had_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("socket.socket.bind", refuse)
    found = check_port(Settings(port=80))
    assert (found.level, found.text) == ("fail", "127.0.0.1:80 can't be had (Permission denied)")
    assert "1024 or more" in found.advice


def test_a_folder_that_can_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = check_temporary_files(Settings(workers=2))
    assert found.level == "ok"
    assert found.text.startswith(f"{tmp_path} can be written, ")
    assert list(tmp_path.iterdir()) == []


def test_shared_memory_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    monkeypatch.setattr(place_checks, "_SHARED_MEMORY", tmp_path)
    assert check_temporary_files(Settings(workers=2)).text.startswith(f"{tmp_path} can be written")


@pytest.mark.parametrize(
    ("workers", "cpus", "level"), [(2, 2, "fail"), (0, 2, "warn"), (1, 2, "ok"), (0, 1, "ok")]
)
def test_without_a_folder_it_is_as_bad_as_the_service_takes_it(
    workers: int, cpus: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    monkeypatch.setattr(place_checks, "_SHARED_MEMORY", Path("/proc/none"))
    monkeypatch.setattr("app.settings.settings.count_cpus", lambda: cpus)
    assert check_temporary_files(Settings(workers=workers)).level == level


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    found = check_temporary_files(Settings())
    assert found.level == "warn"
    assert "1 MB free" in found.text


def test_the_file_of_the_models_choice_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    assert check_model_choice(Settings()) is None
    found = check_model_choice(Settings(model_choice=str(tmp_path / "choice.json")))
    assert found is not None
    assert (found.level, found.text) == ("ok", f"{tmp_path} can be written")
    assert list(tmp_path.iterdir()) == []
    found = check_model_choice(Settings(model_choice="/proc/none/choice.json"))
    assert found is not None
    assert found.level == "warn"
    assert "models can't be switched" in found.text


def test_the_model_that_was_chosen_is_told_as_the_service_takes_it(tmp_path: Path) -> None:
    def told(active: str, instead_of: str = "neumo-r18-3") -> str:
        write_choice(path, Choice(active=active, former=None, instead_of=instead_of))
        found = check_model_choice(
            Settings(model="neumo-r18-3", models="neumo-r18-2", model_choice=str(path))
        )
        assert found is not None
        assert found.level == "ok"
        return found.text

    path = tmp_path / "choice.json"
    assert "; neumo-r18-2 answers, by a switch on 20" in told("neumo-r18-2")
    assert "answers" not in told("neumo-r18-3")
    assert "answers" not in told("neumo-r18-1")  # not loaded
    assert "answers" not in told("neumo-r18-2", "other-1")  # NEUMO_MODEL is newer
    path.write_text("{")
    found = check_model_choice(Settings(model_choice=str(path)))
    assert found is not None
    assert found.level == "fail"


def test_without_an_exchange_nothing_is_said_of_one() -> None:
    assert check_exchange(Settings()) is None


def test_an_exchange_is_looked_at_and_not_made(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "exchange"
    told = {"exchange_folder": str(folder), "exchange_key_file": str(tmp_path / "key")}
    found = check_exchange(Settings(dicom_port=port, **told))
    assert found is not None
    assert (found.level, found.text) == (
        "ok",
        f"{folder} can be written, the DICOM port 127.0.0.1:{port} is free",
    )
    assert list(tmp_path.iterdir()) == []


def test_an_exchange_that_would_not_start_or_not_last_is_told(tmp_path: Path) -> None:
    folder, file = str(tmp_path), tmp_path / "file"
    file.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        in_vain = [
            Settings(exchange_folder=str(file / "exchange")),
            Settings(exchange_folder=folder, dicom_host="192.0.2.1"),
            Settings(exchange_folder=folder, dicom_port=port),
            Settings(exchange_folder=folder, dicom_port=free_port()),
        ]
        found = [check_exchange(settings) for settings in in_vain]
    told = [(each.level, each.text.partition(":")[0]) for each in found if each is not None]
    exposed = DicomExposed(host="192.0.2.1").detail("en").partition(":")[0].partition(". ")[0]
    assert told == [
        ("fail", f"{file}/exchange can't be written"),
        ("fail", exposed),
        ("warn", "the DICOM port 127.0.0.1"),
        ("warn", f"the key of {folder} lies in it"),
    ]


def test_a_key_of_another_queue_and_partners_that_cant_be_are_told_before_the_port(
    tmp_path: Path,
) -> None:
    folder, key = tmp_path / "exchange", tmp_path / "key"
    Outbox.of(Settings(exchange_folder=str(folder))).close()
    key.write_text("ab" * 32)
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = {"exchange_folder": str(folder), "dicom_port": taken.getsockname()[1]}
        in_vain = [
            Settings(exchange_key_file=str(key), **told),
            Settings(partners="ftp://archive", **told),
        ]
        found = [check_exchange(settings) for settings in in_vain]
    assert [(each.level, each.text.partition(":")[0]) for each in found if each is not None] == [
        ("fail", "The key of the exchange can't be used"),
        ("fail", "NEUMO_PARTNERS can't be used"),
    ]
