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
    [("port", 70_000), ("workers", -1), ("max_pixels", 10**9), ("log_level", "loud")],
)
def test_values_out_of_bounds_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


GIB = 2**30


@pytest.mark.parametrize(
    ("cpus", "memory", "settings", "workers"),
    [
        (2, 2 * GIB, {}, 2),
        (16, 64 * GIB, {}, 16),
        (1, 64 * GIB, {}, 1),
        (16, 2 * GIB, {}, 3),  # of 687 MB each
        (16, 2 * GIB, {"max_held_bytes": 64 * 2**20}, 7),  # of 284 MB each
        (2, GIB // 4, {}, 1),
        (200, 1000 * GIB, {}, 64),
        (2, 2 * GIB, {"workers": 1}, 1),
        (2, GIB // 4, {"workers": 5}, 5),
    ],
)
def test_there_is_a_worker_a_cpu_but_no_more_than_the_memory_holds(
    cpus: int,
    memory: int,
    settings: dict[str, int],
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.settings.count_cpus", lambda: cpus)
    monkeypatch.setattr("app.settings.memory_bytes", lambda: memory)
    assert Settings(**settings).worker_count == workers  # type: ignore[arg-type]


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
