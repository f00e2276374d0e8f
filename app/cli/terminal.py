"""The terminal: whether a person looks, and how much is done of what takes long."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


def is_watched() -> bool:
    """Whether standard output is a terminal: a person reads, not a program."""
    return sys.stdout.isatty()


def open_console(*, stderr: bool = False) -> "Console":
    """Return a console that colours nothing by guessing; it heeds NO_COLOR, TERM and COLUMNS."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def write_whatever_the_terminal_lacks() -> None:
    """Show a character that the terminal's encoding lacks as another, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def follow(items: Iterable[Item], total: int, *, shown: bool) -> Iterator[Item]:
    """Yield items, with a progress bar on standard error meanwhile.

    Parameters
    ----------
    total : how many there will be
    shown : whether a bar is wanted; it is drawn only on a terminal, for more than one item
    """
    if not (shown and total > 1 and sys.stderr.isatty()):
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=open_console(stderr=True), transient=True, redirect_stdout=False,
    ) as progress:  # fmt: skip
        yield from progress.track(items, total=total)
