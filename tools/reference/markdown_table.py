"""Markdown's tables, and what a cell may hold."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by `make reference` from the code; do not edit. -->"


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, an empty one behind it; none if there are no rows."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row([*map(cell, row)]) for row in rows)]
    return [*lines, ""] if len(lines) > 2 else []  # noqa: PLR2004 - the head and its line


def cell(text: str) -> str:
    """Return a text that a cell can hold: one line, no bar, nothing that reads as a link's name."""
    return " ".join(text.split()).replace("|", "\\|").replace("][", "]\\[")


def code(name: str) -> str:
    """Return a name as code."""
    return f"`{name}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
