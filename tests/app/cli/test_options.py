"""app.cli.options: what commands share."""

import click
import pytest

from app.cli.options import SettingsWrong, find_language, read_said, read_settings
from app.reading.population import NOBODY, Subject


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LANG": "ES"}, "es"),
        ({"LANG": "es_MX", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE", "LC_MESSAGES": "es_AR.UTF-8"}, "es"),
        ({"LANG": "es", "LC_ALL": ""}, "es"),  # empty is unset
        ({"LANG": "C.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_environments(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_language() == language


def test_what_is_said_of_the_patient_is_read_as_over_http() -> None:
    assert read_said(None, None, "en") == NOBODY
    assert read_said("018M", "ap", "en") == Subject(1.5, "AP")


@pytest.mark.parametrize(
    ("age", "view", "told"),
    [
        ("400", None, "'--age' can't take this value. It takes years from 0 to 130"),
        (None, "up", "'--view' can't take this value. It takes PA, AP or lateral"),
    ],
)
def test_what_cannot_be_meant_is_told_by_the_flags_name(
    age: str | None, view: str | None, told: str
) -> None:
    with pytest.raises(click.UsageError, match=told):
        read_said(age, view, "en")


def test_settings_out_of_bounds_are_told_all_at_once_without_their_values() -> None:
    with pytest.raises(SettingsWrong) as caught:
        read_settings(port="70001", log_level="loud", host=None)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "NEUMO_PORT", "NEUMO_LOG_LEVEL"
    ]  # fmt: skip
    assert "70001" not in caught.value.message
    assert "'loud'" not in caught.value.message
    assert caught.value.exit_code == 2
