"""A release: what is built twice is the same, and what speaks against it stops it."""

import json
from pathlib import Path

import pytest

from tools.release.audit import judge
from tools.release.licences import Licensed, choose, write_licences
from tools.release.version import ReleaseFault, date_of


def test_a_version_without_a_date_is_not_released() -> None:
    with pytest.raises(ReleaseFault, match=r"no dated heading of 99\.0\.0"):
        date_of("99.0.0")


@pytest.mark.parametrize(
    ("name", "licence", "allowed"),
    [
        ("numpy", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("cryptography", "Apache-2.0 OR BSD-3-Clause", True),
        ("either", "GPL-3.0-only OR MIT", True),
        ("psycopg", "LGPL-3.0-only", True),
        ("other", "LGPL-3.0-only", False),
        ("strong", "AGPL-3.0-or-later", False),
        ("both", "MIT AND GPL-2.0-only", False),
        ("silent", "UNKNOWN", False),
        ("brackets", "(MIT)", False),
    ],
)
def test_a_licence_is_let_in_if_it_is_permissive_or_was_looked_at(
    name: str, licence: str, allowed: bool, tmp_path: Path
) -> None:
    packages = [Licensed("click", "8", "BSD-3-Clause"), Licensed(name, "1", licence)]
    path = tmp_path / "LICENCES.md"
    if allowed:
        assert write_licences(packages, path) == 2
        assert f"| {name} | 1 | {licence} |" in path.read_text()
    else:
        with pytest.raises(ReleaseFault, match=f"{name} 1"):
            write_licences(packages, path)
        assert not path.exists()


@pytest.mark.parametrize(
    ("expression", "metadata", "classifiers", "chosen"),
    [
        ("MIT", "UNKNOWN", "Apache Software License", "MIT"),
        ("UNKNOWN", "Apache 2.0", "Apache Software License", "Apache-2.0"),
        ("UNKNOWN", "UNKNOWN", "MIT License; Apache Software License", "MIT AND Apache-2.0"),
        ("UNKNOWN", "a whole text\nof a licence", "MIT License", "MIT"),
        ("UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN"),
    ],
)
def test_of_what_a_package_says_the_closest_counts(
    expression: str, metadata: str, classifiers: str, chosen: str
) -> None:
    assert choose(expression, metadata, classifiers) == chosen


CLEAN = {"name": "numpy", "version": "2", "vulns": []}
UNKNOWN = {"name": "odd", "skip_reason": "not found"}
FLAWED = {"name": "starlette", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1"}]}


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        ([CLEAN], "1 packages without a known vulnerability"),
        ([CLEAN, UNKNOWN], "1 packages without a known vulnerability, 1 unknown"),
        ([UNKNOWN], "NOT audited: none of the 1 packages is known to the database"),
    ],
)
def test_the_audit_says_what_it_could_look_at(packages: list[object], told: str) -> None:
    assert judge(json.dumps({"dependencies": packages})) == told


def test_without_a_network_it_says_that_nothing_was_audited() -> None:
    assert judge("").startswith("NOT audited")


def test_a_known_vulnerability_stops_the_release() -> None:
    with pytest.raises(ReleaseFault, match=r"starlette 1\.0: PYSEC-2026-1"):
        judge(json.dumps({"dependencies": [CLEAN, FLAWED]}))
