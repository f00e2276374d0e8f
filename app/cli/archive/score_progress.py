"""How far a run over an archive is: a bar for a person, a line now and then for a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from app.cli.terminal import open_console

if TYPE_CHECKING:
    from app.score.score_run import Tally

TellListed = Callable[[int], None]
TellTally = Callable[["Tally"], None]
LINES_EVERY_S: Final = 30.0
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@contextmanager
def shown_as_bar() -> Iterator[tuple[TellListed, TellTally]]:
    """Draw a bar on standard error, with the rate and the time that is left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=open_console(stderr=True),
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("Listing", total=None, rate="")
        pace = Pace()

        def tell(tally: "Tally") -> None:
            rate = pace.rate(tally.done)
            text = f"{rate:.0f}/s" if rate else ""
            bar.update(
                task, description="Reading", total=tally.films, completed=tally.done, rate=text
            )

        yield lambda films: bar.update(task, completed=films), tell


@contextmanager
def shown_as_lines(
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[TellListed, TellTally]]:
    """Write a line to standard error every half minute."""
    pace, due = Pace(clock), clock() + LINES_EVERY_S

    def is_due() -> bool:
        nonlocal due
        now = clock()
        if now < due:
            return False
        due = now + LINES_EVERY_S
        return True

    def tell_listed(films: int) -> None:
        if is_due():
            click.echo(f"neumo: {films:,} films listed", err=True)

    def tell(tally: "Tally") -> None:
        rate = pace.rate(tally.done)
        if not is_due():
            return
        left = f", {describe_time((tally.films - tally.done) / rate)} left" if rate else ""
        told = f"{tally.done:,} of {tally.films:,} films, {rate:.0f} a second{left}"
        click.echo(f"neumo: {told}", err=True)

    yield tell_listed, tell


class Pace:
    """Films a second of this call; what an earlier one read counts for nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def rate(self, done: int) -> float:
        """Return the films a second since this was first asked; 0 while that can't be said."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        begun, films = self._first
        return (done - films) / (now - begun) if now > begun else 0.0


def describe_time(seconds: float) -> str:
    """Return a time as a person says it: 40 s, 12 min, 3 h 20 min."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    hours, rest = divmod(round(seconds), _HOUR_S)
    return f"{hours} h {rest // _MINUTE_S} min"
