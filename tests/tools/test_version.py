"""The version: written once, and what everything that tells it says."""

import subprocess
import sys
import tomllib
from datetime import date

import app
from app.main import create_app
from app.settings.settings import Settings
from tests.conftest import ROOT
from tools.release.version import released

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_takes_it_from_the_code() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"] == {"path": "app/__init__.py"}


def test_it_is_the_newest_that_the_changelog_dates() -> None:
    assert next(iter(released())) == app.__version__


def test_the_changelog_dates_versions_from_new_to_old() -> None:
    days = [date.fromisoformat(day) for day in released().values()]
    assert len(days) >= 2
    assert days == sorted(days, reverse=True)
    versions = [tuple(map(int, version.split("."))) for version in released()]
    assert versions == sorted(versions, reverse=True)


def test_what_is_not_released_stands_above() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("## [Unreleased]") < text.index(f"## [{app.__version__}]")


def test_the_command_tells_it() -> None:
    command = [sys.executable, "-m", "app", "--version"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.split()[-1] == app.__version__


def test_openapi_tells_it() -> None:
    assert create_app(Settings()).openapi()["info"]["version"] == app.__version__


def test_the_image_is_tagged_and_labelled_with_it() -> None:
    digest = "docker.io/library/python@sha256:0123"
    command = ["make", "--dry-run", "image", f"BASE={digest}"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"--build-arg VERSION={app.__version__}" in told
    assert f"--tag neumo:{app.__version__}" in told
    assert f"--build-arg BASE={digest}" in told
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final = dockerfile.rpartition("FROM ${BASE}")[2]
    assert final.index("ARG VERSION") < final.index('image.version="${VERSION}"')
