"""docs/security.md: every claim names a test, and the test is there."""

import ast
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


def rows() -> list[list[str]]:
    """Return the cells of each claim: what is tried, what stops it, by which tests."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith("| somebody tries")
    ]


def test_there_are_claims_to_look_at() -> None:
    assert len(rows()) > 25
    assert len(NAMED) > 40


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_claim_names_a_test(row: list[str]) -> None:
    assert len(row) == 3
    assert re.search(r"`tests/[\w/]+\.py(::\w+)?`", row[2])


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_each_test_that_is_named_is_there(file: str, test: str) -> None:
    module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    tests = {
        node.name
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }
    assert tests
    assert not test or test in tests


def test_what_is_not_stopped_is_told_in_every_chapter_of_attacks() -> None:
    chapters = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    attacked = [chapter for chapter in chapters if "somebody tries" in chapter]
    assert len(attacked) == 5
    assert all("**Not stopped**" in chapter for chapter in attacked)


def test_security_md_leads_there() -> None:
    assert "(docs/security.md)" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
