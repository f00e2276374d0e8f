"""app.cli.hospital.receive_command: what is said before anything is received."""

import importlib.util

import pytest
from click.testing import CliRunner

from app.cli.hospital.receive_command import command
from app.server.receiving import receive_start
from app.settings.settings import Settings


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "httpx" else 1)
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2
    assert "pip install 'neumo[hospital]'" in result.output


@pytest.mark.parametrize(("flags", "listens"), [([], True), (["--no-listen"], False)])
def test_flags_reach_what_runs(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], listens: bool
) -> None:
    asked = []

    def receive(settings: Settings, *, listen: bool) -> int:
        asked.append((settings.dicom_port, settings.ae_title, listen))
        return 7

    monkeypatch.setattr(receive_start, "receive", receive)
    arguments = ["--dicom-port", "104", "--ae-title", "AI", *flags]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 7
    assert asked == [(104, "AI", listens)]


def test_the_port_of_http_is_no_flag_of_it() -> None:
    result = CliRunner().invoke(command, ["--port", "104"])
    assert result.exit_code == 2
    assert "--dicom-port" in result.output
