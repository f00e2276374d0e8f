"""Settings: from NEUMO_*, bounded, documented."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings.settings import Settings, describe_settings, remark_on
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


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUMO_PORT", "")
    monkeypatch.setenv("NEUMO_LOG_LEVEL", "")
    assert (Settings().port, Settings().log_level) == (8000, "info")


KUBERNETES = {
    "NEUMO_PORT": "tcp://10.43.0.1:8000",
    "NEUMO_SERVICE_HOST": "10.43.0.1",
    "NEUMO_SERVICE_PORT": "8000",
    "NEUMO_SERVICE_PORT_HTTP": "8000",
    "NEUMO_PORT_8000_TCP": "tcp://10.43.0.1:8000",
    "NEUMO_PORT_8000_TCP_PROTO": "tcp",
    "NEUMO_PORT_8000_TCP_PORT": "8000",
    "NEUMO_PORT_8000_TCP_ADDR": "10.43.0.1",
}


@pytest.mark.parametrize("scheme", ["tcp", "udp", "sctp"])
def test_a_kubernetes_service_link_is_no_port(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUMO_PORT", f"{scheme}://10.43.0.1:9000")
    assert Settings().port == 8000
    assert Settings(port=6000).port == 6000


def test_a_service_called_neumo_is_remarked_on_once() -> None:
    (remark,) = remark_on(KUBERNETES)
    assert "enableServiceLinks: false" in remark
    assert remark_on({"NEUMO_PORT": "8001"}) == []


def test_what_looks_like_a_setting_and_is_none_is_told() -> None:
    assert remark_on({"NEUMO_DEADLINE": "3", "NEUMO_COLOUR": "red", "PATH": "/bin"}) == [
        "NEUMO_DEADLINE is no setting, did you mean NEUMO_DEADLINE_S?",
        "NEUMO_COLOUR is no setting",
    ]


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
        (16, 2 * GIB, {"max_held_bytes": 64 * 2**20, "models": "neumo-r18-2"}, 6),  # of 319 MB
        (2, GIB // 4, {}, 1),
        (200, 1000 * GIB, {}, 64),
        (2, 2 * GIB, {"workers": 1}, 1),
        (2, GIB // 4, {"workers": 5}, 5),
    ],
)
def test_there_is_a_worker_a_cpu_but_no_more_than_the_memory_holds(
    cpus: int,
    memory: int,
    settings: dict[str, Any],
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.settings.settings.count_cpus", lambda: cpus)
    monkeypatch.setattr("app.settings.settings.memory_bytes", lambda: memory)
    assert Settings(**settings).worker_count == workers


@pytest.mark.parametrize(
    ("cpus", "settings", "threads"),
    [
        (8, {"workers": 1}, 8),
        (8, {"workers": 2}, 4),
        (16, {"workers": 2}, 8),
        (8, {"workers": 8}, 4),  # more than its share: a batch alone is read by four
        (2, {"workers": 2}, 2),
        (1, {"workers": 1}, 1),
        (8, {"workers": 2, "threads": 3}, 3),
    ],
)
def test_threads_are_shared_among_the_workers(
    cpus: int, settings: dict[str, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.settings.settings.count_cpus", lambda: cpus)
    assert Settings(**settings).reader_threads == threads  # type: ignore[arg-type]


def test_the_settings_page_says_what_the_code_says() -> None:
    page = Path(ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == describe_settings()


def test_every_setting_is_on_the_page_with_a_meaning() -> None:
    page = describe_settings()
    for name, field in Settings.model_fields.items():
        assert f"| `NEUMO_{name.upper()}` |" in page
        assert field.description is not None
        assert field.description.endswith(".")
