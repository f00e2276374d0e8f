"""app.cli.checks.machine_checks: installation, memory, clock, extras."""

import resource
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.cli.checks import machine_checks
from app.cli.checks.machine_checks import (
    EXTRAS,
    check_clock,
    check_cpus,
    check_extras,
    check_installation,
    check_memory,
    check_open_files,
)
from app.settings.settings import Settings
from tests.conftest import ROOT

GIB = 2**30


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that two files were installed into, as a wheel's RECORD tells."""
    record = (
        "app/__init__.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n"
        "app/errors.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n"
        "training/__init__.py,sha256=nowhere,3\nneumo-0.dist-info/RECORD,,\n"
    )  # of the bytes abc
    (tmp_path / "neumo-0.dist-info").mkdir()
    (tmp_path / "neumo-0.dist-info" / "METADATA").write_text("Name: neumo\nVersion: 0\n")
    (tmp_path / "neumo-0.dist-info" / "RECORD").write_text(record)
    (tmp_path / "app").mkdir()
    for name in ("__init__", "errors"):
        (tmp_path / "app" / f"{name}.py").write_text("abc")
    found = machine_checks.distribution
    monkeypatch.setattr(
        machine_checks,
        "distribution",
        lambda name: next(iter(found(name).discover(name=name, path=[str(tmp_path)]))),
    )
    return tmp_path


def test_files_as_they_were_installed_are_fine(installed: Path) -> None:
    assert installed.exists()
    assert check_installation().level == "ok"


@pytest.mark.parametrize("change", ["changed", "missing"])
def test_a_file_that_another_package_wrote_over_is_told(installed: Path, change: str) -> None:
    file = installed / "app" / "errors.py"
    file.write_text("xyz") if change == "changed" else file.unlink()
    found = check_installation()
    assert found.level == "fail"
    assert "1 file(s) are missing or not as installed, such as app/errors.py" in found.text
    assert "environment of its own" in found.advice


@pytest.mark.parametrize(
    ("memory", "settings", "level"),
    [
        (2 * GIB, {"workers": 2}, "ok"),
        (GIB, {"workers": 2}, "warn"),  # 1.4 GB at their peaks
        (GIB, {"workers": 2, "max_held_bytes": 64 * 2**20}, "ok"),
        (GIB, {"workers": 8}, "fail"),  # 150 MB each, idle
    ],
)
def test_memory_is_held_against_the_workers_peaks(
    memory: int, settings: dict[str, int], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "memory_bytes", lambda: memory)
    found = check_memory(Settings(**settings))  # type: ignore[arg-type]
    assert found.level == level
    assert bool(found.advice) == (level != "ok")
    assert f"{memory / 1e9:.1f} GB for this process" in found.text


def test_a_quota_of_cpus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "count_cpus", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert check_cpus(Settings(workers=1, threads=3)).text == (
        "2 of 64 (affinity or cgroup): 1 worker(s), each reads 3 image(s) at once"
    )


@pytest.mark.parametrize(
    ("hard", "level"), [(256, "warn"), (65536, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_few_open_files_are_told(hard: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, hard))
    assert check_open_files().level == level


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "made", "level", "told"),
    [
        ("", None, "ok", "logs are in UTC"),
        ("Europe/Madrid", date(2026, 5, 31), "ok", ""),
        (":America/Toronto", None, "ok", ""),
        ("EST5EDT", None, "ok", ""),
        ("<-03>3", None, "ok", ""),
        ("Spain", None, "warn", "TZ names no known zone"),
        ("../../etc/passwd", None, "warn", "TZ names no known zone"),
        ("", date(2026, 6, 2), "warn", "the model was made on 2026-06-02, after that"),
    ],
)
def test_a_clock_that_can_not_be_right_is_told(
    zone: str, made: date | None, level: str, told: str
) -> None:
    found = check_clock({"TZ": zone}, made, NOON)
    assert found.level == level
    assert told in found.text


def test_the_extras_are_those_of_the_project_that_serve_or_train() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    assert set(EXTRAS) == extras - {"dev", "docs"}


def test_an_extra_is_there_if_all_that_it_brings_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"pydicom", "imagecodecs", "fsspec"}

    def find_spec(module: str) -> object:
        if module.startswith("opentelemetry"):
            raise ModuleNotFoundError
        return module if module in there else None

    monkeypatch.setattr(machine_checks, "find_spec", find_spec)
    assert check_extras().text == (
        "installed: dicom; not: hospital, oidc, otel, postgres, ray, score, signatures, sweep, "
        "train (pip install 'neumo[NAME]')"
    )
