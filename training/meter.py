"""How far something long has come: a bar on a terminal, a line a minute anywhere else.

A log file is read line by line: what draws over itself fills it with thousands of copies. `show`
says which of the two, or nothing at all, for as long as it holds.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, Self, TypeVar

from tqdm import tqdm

Shown = Literal["auto", "lines", "nothing"]
"""auto: a bar if standard error is a terminal, else lines."""

_EVERY_S: Final = 60.0
_LEAST_S: Final = 1.0
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600

_shown: ContextVar[Shown] = ContextVar("shown", default="auto")
_Thing = TypeVar("_Thing")


@contextmanager
def show(shown: Shown) -> Iterator[None]:
    """Show progress so inside."""
    before = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(before)


def shown_now() -> Shown:
    """Return what `show` said last, for another process to be told."""
    return _shown.get()


def keep_showing(shown: Shown) -> None:
    """Show progress so from now on: for a process that was started for one thing."""
    _shown.set(shown)


class Meter:
    """Counts towards a total, and shows it on standard error.

    Parameters
    ----------
    what : said before the count
    total : how many there are; `done`, how many of them were done before
    unit : of what is counted, in the singular
    announce : say at the end how many there were and how long it took, where there is no bar
    """

    def __init__(
        self, what: str, total: int, unit: str, *, done: int = 0, announce: bool = False
    ) -> None:
        self._what, self._unit, self._total = what, unit, total
        self._start = self._done = done
        self._announce = announce
        self._began = self._said = time.monotonic()
        self._note = ""
        shown = _shown.get()
        self._silent = shown == "nothing"
        bar = shown == "auto" and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=what, unit=unit) if bar else None

    def __enter__(self) -> Self:
        """Count from here."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish; what failed is not announced."""
        if self._bar is not None:
            self._bar.close()
        elif self._announce and not self._silent and kind is None:
            seconds = time.monotonic() - self._began
            if seconds < _LEAST_S:
                return  # as soon done as read
            sys.stderr.write(f"{self._what}: {self._count(self._done)}, {span(seconds)}\n")

    def step(self, note: str = "", what: str | None = None) -> None:
        """Count one more; a note tells how it is going, and `what` changes what is said before."""
        self._done += 1
        self._what, self._note = what or self._what, note
        if self._bar is not None:
            self._bar.set_description_str(self._what, refresh=False)
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
        elif not self._silent and time.monotonic() - self._said >= _EVERY_S:
            self._said = time.monotonic()
            sys.stderr.write(f"{self._say()}\n")

    def say(self, line: str) -> None:
        """Write a line to standard output, above the bar if there is one."""
        if self._silent:
            return
        if self._bar is None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        else:
            tqdm.write(line)

    def left(self) -> str:
        """Say how long the rest will take if it goes on as it did; nothing at the end."""
        rest, counted = self._total - self._done, self._done - self._start
        if rest <= 0 or counted <= 0:
            return ""
        return f"about {span((time.monotonic() - self._began) / counted * rest)} left"

    def _say(self) -> str:
        told = (
            f"{self._what}: {self._done} of {self._count(self._total)}",
            self._note,
            self.left(),
        )
        return ", ".join(filter(None, told))

    def _count(self, number: int) -> str:
        plural = "es" if self._unit.endswith("ch") else "s"
        return f"{number} {self._unit}{'' if number == 1 else plural}"


def track(things: Sequence[_Thing], what: str, unit: str) -> Iterator[_Thing]:
    """Yield each of some things, counting those that are done."""
    with Meter(what, len(things), unit, announce=True) as meter:
        for thing in things:
            yield thing
            meter.step()


def span(seconds: float) -> str:
    """Write a span of time as people say it: 40 s, 3 min, 1 h 20 min."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    minutes = round(seconds / _MINUTE_S)
    if seconds < 2 * _HOUR_S:
        return f"{minutes} min"
    return f"{minutes // _MINUTE_S} h {minutes % _MINUTE_S} min"
