"""A run: films in, parts out, exact over kills.

The folder holds ``part-*.parquet`` and, below ``.neumo``, what the run was begun with (run.json),
its films (films.jsonl) and its ledger. Readers of Parquet folders, and the walk that lists films,
pass over a hidden folder.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from app.errors import DestinationUnusable, RunDiffers, SourceLost, SourceUnusable
from app.score.film_list import FilmList
from app.score.parquet_part import PartWriter, part_name, read_errors, sync_folder
from app.score.score_ledger import PartEntry, ScoreLedger
from app.score.score_row import STATUSES, ScoreRow, could_not_be_opened
from app.score.source import ListedFilm, Source, can_be_opened

WORKSHOP: Final = ".neumo"
_BEGUN: Final = "run.json"
_UNOPENED_IN_A_ROW: Final = 100
"""So many, and the place itself is looked at."""

Score = Callable[[Iterable[tuple[ListedFilm, ...]]], Iterator[list[ScoreRow]]]
"""An engine: chunks of films in, their rows out, in order."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a run is.

    Parameters
    ----------
    films : in the list
    done : that have a row; the last of them may not be written yet
    counts : rows by status
    """

    films: int
    done: int
    counts: Mapping[str, int]


class ScoreRun:
    """One run of one folder; `open_run` makes it."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        asked: Mapping[str, object],
        films: FilmList,
        part_films: int,
    ) -> None:
        self._folder, self._source, self._asked = folder, source, asked
        self._films, self._part_films = films, part_films
        self._ledger = ScoreLedger(folder / WORKSHOP / "ledger.jsonl", folder)
        self._opened: ListedFilm | None = None
        self._unopened = 0

    @property
    def tally(self) -> Tally:
        """How far it is, by what is written."""
        return self._tally(self._ledger.counts)

    @property
    def parts_left(self) -> list[int]:
        """Which parts are not written, in order."""
        parts = -(-self._films.films // self._part_films)
        return [part for part in range(parts) if part not in self._ledger.entries]

    @property
    def films(self) -> FilmList:
        """The list of its films."""
        return self._films

    def spans_left(self) -> Iterator[tuple[int, int]]:
        """Yield where in the list the chunks lie that `go_on` has read."""
        return self._films.spans(self._part_films, set(self.parts_left))

    def go_on(
        self,
        score: Score,
        labels: list[str],
        constants: Mapping[str, str],
        most_bytes: int,
        tell: Callable[[Tally], None],
    ) -> None:
        """Have all films read that have no row yet, and write the parts.

        Parameters
        ----------
        score : the engine
        labels, constants : as of `app.score.parquet_part.PartWriter`
        most_bytes : of a film, as the engine reads it
        tell : called after each chunk

        Raises
        ------
        SourceLost, EngineFailed
        DestinationUnusable
            If a part can't be written.
        """
        workshop = self._folder / WORKSHOP
        writer = PartWriter(self._folder, workshop, labels, constants, self._asked)
        self._opened = self._opened_before()
        left = self.parts_left
        parts = iter(left)
        rows: list[ScoreRow] = []
        part = next(parts, None)
        written = self._ledger.counts
        chunks = _Remembered(self._films.chunks(self._part_films, set(left)))
        for some in score(chunks):
            films = chunks.forget()
            self._watch(films, some, most_bytes)
            rows += some
            written.update(row.status for row in some)
            if part is not None and len(rows) == self._rows_of(part):
                if self._unopened:
                    self._look_for_the_place(most_bytes)
                self._write(writer, part, rows)
                part, rows = next(parts, None), []
            tell(self._tally(written))

    def _tally(self, counts: Counter[str]) -> Tally:
        by_status = {str(status): counts[status] for status in STATUSES}
        return Tally(self._films.films, counts.total(), by_status)

    def _rows_of(self, part: int) -> int:
        return min(self._part_films, self._films.films - part * self._part_films)

    def _write(self, writer: PartWriter, part: int, rows: list[ScoreRow]) -> None:
        try:
            size, sha256 = writer.write(part, rows)
            counts = Counter(str(row.status) for row in rows)
            self._ledger.add(PartEntry(part, len(rows), size, sha256, dict(counts)))
        except OSError as error:
            reason = (
                f"{part_name(part)} can't be written ({error.strerror or type(error).__name__})"
            )
            raise DestinationUnusable(reason=reason) from None

    def _watch(self, films: tuple[ListedFilm, ...], rows: list[ScoreRow], most_bytes: int) -> None:
        """Stop before films are written off one by one that lie where nothing is any more."""
        for film, row in zip(films, rows, strict=True):
            if film.fault:  # which says nothing of the place
                continue
            if not could_not_be_opened(row.error):
                self._unopened, self._opened = 0, film
                continue
            self._unopened += 1
            if self._unopened % _UNOPENED_IN_A_ROW == 0:
                self._look_for_the_place(most_bytes)

    def _look_for_the_place(self, most_bytes: int) -> None:
        """Raise `SourceLost` if a film that could be opened before can't be opened now.

        If none could yet, it is lost after as many films as make a part.
        """
        if self._opened is None:
            is_there = self._unopened < min(_UNOPENED_IN_A_ROW, self._part_films)
        else:
            is_there = can_be_opened(self._source, self._opened, most_bytes)
        if not is_there:
            raise SourceLost(films=self._unopened)

    def _opened_before(self) -> ListedFilm | None:
        """Return a film that could be opened, by the parts that are written."""
        for part in self._ledger.entries:
            errors = read_errors(self._folder / part_name(part))
            films = chain.from_iterable(self._films.chunks(self._part_films, [part]))
            for film, error in zip(films, errors, strict=True):
                if not film.fault and not could_not_be_opened(error):
                    return film
        return None


class _Remembered:
    """Chunks, each kept until its rows have come."""

    def __init__(self, chunks: Iterator[tuple[ListedFilm, ...]]) -> None:
        self._chunks = chunks
        self._kept: list[tuple[ListedFilm, ...]] = []

    def __iter__(self) -> Iterator[tuple[ListedFilm, ...]]:
        for chunk in self._chunks:
            self._kept.append(chunk)
            yield chunk

    def forget(self) -> tuple[ListedFilm, ...]:
        """Return the first that is kept, and keep it no longer."""
        return self._kept.pop(0)


def find_begun(folder: Path) -> Mapping[str, object]:
    """Return what the run in a folder was begun with; nothing if there is none to be read."""
    try:
        begun: dict[str, object] = json.loads((folder / WORKSHOP / _BEGUN).read_bytes())["asked"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return begun


@contextmanager
def open_run(
    folder: Path,
    source: Source,
    asked: Mapping[str, object],
    part_films: int,
    tell: Callable[[int], None],
) -> Iterator[ScoreRun]:
    """Begin a run in a folder, or go on with the one that is there; nobody else can meanwhile.

    Parameters
    ----------
    asked : all that rows depend on; what a run goes on with has to be the same
    part_films : rows of a part
    tell : called with how many films are listed, while they are

    Raises
    ------
    DestinationUnusable, RunDiffers, SourceUnusable
    """
    workshop = folder / WORKSHOP
    whole = dict(asked) | {"part_films": part_films, "source": source.name}
    with ExitStack() as held:
        try:
            held.enter_context(_locked(workshop))
            films = _find_films(workshop, source, whole, tell)
            run = ScoreRun(folder, source, whole, films, part_films)
        except OSError as error:
            reason = f"it can't be written ({error.strerror or type(error).__name__})"
            raise DestinationUnusable(reason=reason) from None
        yield run


@contextmanager
def _locked(workshop: Path) -> Iterator[None]:
    """Make the folder, and hold it; the lock ends with the process, however that ends."""
    folder = workshop.parent
    folder.mkdir(parents=True, exist_ok=True)
    if not workshop.is_dir() and any(folder.iterdir()):
        raise DestinationUnusable(reason="it holds other files")
    workshop.mkdir(exist_ok=True)
    with (workshop / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DestinationUnusable(reason="another run writes to it now") from None
        yield


def _find_films(
    workshop: Path, source: Source, asked: dict[str, object], tell: Callable[[int], None]
) -> FilmList:
    """Return the list of the run that is there, or begin a run and list its films."""
    begun, listed = workshop / _BEGUN, workshop / "films.jsonl"
    if not begun.is_file():
        films = FilmList.write(listed, source.list_films(), tell)
        if films.films == 0:
            raise SourceUnusable(reason="there are none")
        sync_folder(workshop)
        told = {"asked": asked, "films": films.films, "films_sha256": films.sha256}
        beside = workshop / f"{_BEGUN}.part"
        with beside.open("w", encoding="ascii") as file:
            file.write(json.dumps(told, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(begun)
        sync_folder(workshop)
        return films
    try:
        told = json.loads(begun.read_bytes())
        then: dict[str, object] = told["asked"]
        films = FilmList(listed, told["films"], told["films_sha256"])
    except (ValueError, KeyError, TypeError):
        raise DestinationUnusable(reason="its .neumo/run.json can't be read") from None
    differing = [name for name in {**then, **asked} if then.get(name) != asked.get(name)]
    if differing:
        raise RunDiffers(what=", ".join(differing))
    if not films.is_whole():
        raise DestinationUnusable(reason="its .neumo/films.jsonl is not the one it was begun with")
    return films
