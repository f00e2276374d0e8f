"""neumo settings: what each is now, and no password."""

import json

import pytest

from app.cli.command import main
from app.cli.run.settings_command import hide_password
from app.settings.settings import Settings, describe_settings


def test_into_a_pipe_it_is_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    assert capsys.readouterr().out == describe_settings()


def test_json_tells_what_each_is_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUMO_PORT", "8123")
    assert main(["settings", "--json"]) == 0
    told = {each["variable"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(told) == ["NEUMO_" + name.upper() for name in Settings.model_fields]
    port = told["NEUMO_PORT"]
    assert (port["value"], port["default"], port["set"], port["flag"]) == (
        8123, 8000, True, "--port"
    )  # fmt: skip
    assert told["NEUMO_HOST"]["set"] is False


def test_a_person_sees_what_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUMO_PORT", "8123")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(["settings"]) == 0
    told = capsys.readouterr().out
    assert "NEUMO_PORT = 8123   (default 8000)\n" in told
    assert "NEUMO_HOST = 127.0.0.1\n" in told


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://neumo:s3cret@db/neumo", "postgresql://***@db/neumo"),
        ("https://hospital.example/a@b", "https://hospital.example/a@b"),
        (8000, 8000),
        (None, None),
    ],
)
def test_no_password_is_shown(value: object, shown: object) -> None:
    assert hide_password(value) == shown


def test_settings_out_of_bounds_are_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUMO_PORT", "many")
    assert main(["settings", "--json"]) == 2
    assert "NEUMO_PORT: Input should be a valid integer" in capsys.readouterr().err
