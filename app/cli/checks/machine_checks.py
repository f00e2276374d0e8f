"""What Neumo runs on: its own files, Python, CPUs, memory, open files, extras, the clock."""

import base64
import csv
import hashlib
import os
import platform
import re
import resource
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

import app
from app.cli.checks.finding import Finding
from app.machine import count_cpus, memory_bytes
from app.settings.settings import Settings

_ENOUGH_FILES: Final = 4096
_IDLE_WORKER_BYTES: Final = 150_000_000
_POSIX_ZONE: Final = re.compile(r":?(<[\w+-]+>|[A-Za-z]{3,})[+-]?\d.*")

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dicom": ("pydicom", "imagecodecs"),
        "hospital": ("highdicom", "pynetdicom", "pydicom", "imagecodecs", "httpx", "cryptography"),
        "oidc": ("jwt",),
        "otel": ("opentelemetry.sdk",),
        "postgres": ("psycopg",),
        "ray": ("ray",),
        "score": ("fsspec", "pyarrow"),
        "signatures": ("cryptography",),
        "sweep": ("optuna",),
        "train": ("torch", "sklearn", "onnx"),
    }
)
"""What an extra brings, as it is imported."""


def check_installation() -> Finding:
    """Compare the installed files of `app` with what was installed (the wheel's RECORD)."""
    told = (
        f"Neumo {app.__version__} on Python {platform.python_version()}, ONNX Runtime "
        f"{version('onnxruntime')}"
    )
    changed = _changed_files()
    if changed:
        return Finding(
            "installation",
            "fail",
            f"{told}; {len(changed)} file(s) are missing or not as installed, such as {changed[0]}",
            "Install Neumo again, in an environment of its own.",
        )
    return Finding("installation", "ok", told)


def _changed_files() -> list[str]:
    """Compare files with RECORD itself: `Distribution.files` leaves out those that are missing."""
    try:
        installed = distribution("neumo")
    except PackageNotFoundError:  # a checkout that was never installed
        return []
    changed = []
    for name, recorded, *_ in csv.reader((installed.read_text("RECORD") or "").splitlines()):
        algorithm, _, expected = recorded.partition("=")
        if not expected or name.partition("/")[0] not in ("app", "neumo_start.py"):
            continue
        try:
            content = Path(str(installed.locate_file(name))).read_bytes()
        except OSError:
            changed.append(name)
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest())
        if digest.rstrip(b"=").decode() != expected:
            changed.append(name)
    return changed


def check_cpus(settings: Settings) -> Finding:
    """Tell the CPUs that this process may use, and how they are shared out."""
    cpus, all_cpus = count_cpus(), os.cpu_count() or 1
    limited = "" if cpus == all_cpus else f" of {all_cpus} (affinity or cgroup)"
    return Finding(
        "cpus",
        "ok",
        f"{cpus}{limited}: {settings.worker_count} worker(s), each reads "
        f"{settings.reader_threads} image(s) at once",
    )


def check_memory(settings: Settings) -> Finding:
    """Hold what the workers take at their peaks against what there is."""
    limit, workers = memory_bytes(), settings.worker_count
    peak = workers * settings.worker_peak_bytes
    told = (
        f"{_gigabytes(limit)} for this process; {workers} worker(s) take {_gigabytes(peak)} at "
        "their peaks"
    )
    if workers * _IDLE_WORKER_BYTES > limit:
        return Finding("memory", "fail", told, "Give it more memory, or set NEUMO_WORKERS lower.")
    if peak > limit:
        advice = "Set NEUMO_WORKERS or NEUMO_MAX_HELD_BYTES lower, or give it more memory."
        return Finding("memory", "warn", f"{told}: the kernel may end one", advice)
    return Finding("memory", "ok", told)


def check_open_files() -> Finding:
    """Tell how many connections the system lets a worker have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = "no limit" if hard == resource.RLIM_INFINITY else f"{hard} a process"
    if hard != resource.RLIM_INFINITY and hard < _ENOUGH_FILES:
        advice = f"Raise the hard limit: ulimit -Hn {_ENOUGH_FILES}, or LimitNOFILE of systemd."
        return Finding("open_files", "warn", f"{told}: no more connections than that", advice)
    return Finding("open_files", "ok", told)


def check_extras() -> Finding:
    """Tell which extras are installed."""
    there = [name for name, modules in EXTRAS.items() if all(map(_is_there, modules))]
    lacking = [name for name in EXTRAS if name not in there]
    told = f"installed: {', '.join(there) or 'none'}"
    if lacking:
        told += f"; not: {', '.join(lacking)} (pip install 'neumo[NAME]')"
    return Finding("extras", "ok", told)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


def check_clock(
    environment: Mapping[str, str], made: date | None = None, now: datetime | None = None
) -> Finding:
    """Look for a clock that can't be right, and a time zone that isn't known.

    Parameters
    ----------
    made : when the model was: no clock can be before that
    now : the clock; the machine's if None
    """
    now = now or datetime.now(UTC)
    local = now.astimezone()
    told = f"{local.isoformat(timespec='seconds')} ({local.tzname()}); logs are in UTC"
    if made is not None and now.date() < made:
        advice = "Set the clock, by NTP if there is one: logs and acceptances carry its dates."
        return Finding("clock", "warn", f"{told}; the model was made on {made}, after that", advice)
    zone = environment.get("TZ", "")
    if zone and not _POSIX_ZONE.fullmatch(zone) and not _is_zone(zone.removeprefix(":")):
        advice = "Set TZ to a zone of /usr/share/zoneinfo, or unset it."
        return Finding("clock", "warn", f"{told}; TZ names no known zone", advice)
    return Finding("clock", "ok", told)


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
