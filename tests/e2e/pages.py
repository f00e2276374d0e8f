"""The pages of the documentation, and the commands in them."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conftest import ROOT

PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "client").glob("*.md"),
    )
    if path.name != "CHANGELOG.md"
)
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>not run|run by|refused): (?P<said>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>sh|bash|shell|console|python|py)\b[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of commands; `mark`: why it isn't run, which test runs it, how it is refused."""

    page: Path
    line: int
    language: str
    text: str
    mark: Literal["not run", "run by", "refused", None]
    said: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def script(self) -> str:
        """What a shell or Python is given: of a console only what was typed."""
        if self.language != "console":
            return self.text
        typed = re.findall(r"^\$ ((?:.*\\\n)*.*)$", self.text, re.MULTILINE)
        return "\n".join(typed)


def blocks(page: Path) -> Iterator[Block]:
    """Find the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        mark = match["mark"]
        yield Block(
            page,
            text.count("\n", 0, match.start("indent")) + 1,
            match["language"],
            textwrap.dedent(match["text"]),
            mark if mark in ("not run", "run by", "refused") else None,
            match["said"] or "",
        )
