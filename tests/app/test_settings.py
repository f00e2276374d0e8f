"""Settings: from NEUMO_*, bounded, documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, describe_settings
from tests.conftest import ROOT


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUMO_MAX_BODY_BYTES", "5000")
    assert Settings().max_body_bytes == 5000


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUMO_PORT", "5000")
    assert Settings(port=6000).port == 6000


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 70_000), ("workers", 0), ("max_pixels", 10**9), ("log_level", "loud")],
)
def test_values_out_of_bounds_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_workers_read_back_what_their_parent_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"NEUMO_{name.upper()}", "to be undone")
    settings = Settings(
        **{name: field.default for name, field in Settings.model_fields.items() if name != "port"},
        port=9999,
    )
    settings.export()
    assert Settings() == settings


def test_threads_are_shared_among_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.settings.count_cpus", lambda: 8)
    assert Settings(workers=2).reader_threads == 4
    assert Settings(workers=16).reader_threads == 1
    assert Settings(workers=2, threads=3).reader_threads == 3


def test_the_settings_page_says_what_the_code_says() -> None:
    page = Path(ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == describe_settings()


def test_every_setting_is_on_the_page_with_a_meaning() -> None:
    page = describe_settings()
    for name, field in Settings.model_fields.items():
        assert f"| `NEUMO_{name.upper()}` |" in page
        assert field.description is not None
        assert field.description.endswith(".")
