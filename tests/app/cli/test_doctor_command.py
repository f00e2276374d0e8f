"""neumo doctor: what it looks at, what it says to do, and its exit code."""

import json
import socket
from typing import Any

import pytest

from app.cli.command import main
from tests.server import free_port

CHECKS = [
    "installation", "settings", "cpus", "memory", "cpu", "bundle", "acceptance", "access", "port",
    "audit", "temporary_files", "open_files", "extras", "clock",
]  # fmt: skip


def examine(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    code = main(["doctor", "--json", *arguments])
    told = json.loads(capsys.readouterr().out)
    levels = {each["level"] for each in told["findings"]}
    assert told["level"] == next(level for level in ("fail", "warn", "ok") if level in levels)
    return code, {each["check"]: each for each in told["findings"]}


def test_a_sound_machine_has_nothing_but_the_acceptance_to_be_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, found = examine(capsys, "--port", str(free_port()))
    assert code == 0
    assert list(found) == CHECKS
    assert {name for name, each in found.items() if each["level"] == "fail"} == set()
    assert found["acceptance"]["level"] == "warn"
    assert "neumo accept" in found["acceptance"]["advice"]
    assert all(each["advice"] for each in found.values() if each["level"] != "ok")


def test_what_would_stop_the_service_makes_it_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        code, found = examine(capsys, "--port", port, "--model", "missing")
    assert code == 1
    assert {name for name, each in found.items() if each["level"] == "fail"} == {"bundle", "port"}
    assert found["port"]["text"] == f"127.0.0.1:{port} can't be had (Address already in use)"


def test_settings_out_of_bounds_are_findings_and_the_machine_is_still_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUMO_LOG_LEVEL", "loud")
    code, found = examine(capsys, "--port", "many")
    assert code == 1
    assert found["settings"]["level"] == "fail"
    assert list(found) == ["installation", "settings", "open_files", "extras", "clock"]


def test_lines_for_a_pipe_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--port", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("ok    port: a free one will be taken")]
    place = next(at for at, line in enumerate(lines) if line.startswith("warn  acceptance: none"))
    assert lines[place + 1].startswith("      do: neumo accept --data FOLDER")
