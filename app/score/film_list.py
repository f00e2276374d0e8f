"""The list of a run's films: written once, so that what comes and goes later changes no run.

A line of JSON a film, read again as a stream: a hundred million films take no memory.
"""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from app.score.source import ListedFilm

CHUNK_FILMS: Final = 32
"""Films that go to a process together."""

_TOLD_EVERY: Final = 1000


@dataclass(frozen=True, slots=True)
class FilmList:
    """A list that is whole.

    Parameters
    ----------
    films : how many
    sha256 : of the file
    """

    path: Path
    films: int
    sha256: str

    @classmethod
    def write(
        cls, path: Path, films: Iterable[ListedFilm], tell: Callable[[int], None]
    ) -> "FilmList":
        """Write a list, whole or not at all.

        Parameters
        ----------
        tell : called now and then with how many were listed
        """
        beside, digest, count = path.with_name(path.name + ".part"), hashlib.sha256(), 0
        with beside.open("wb") as file:
            for count, film in enumerate(films, 1):
                told = {"path": film.path}
                told |= {name: value for name, value in asdict(film).items() if value}
                line = json.dumps(told).encode("ascii") + b"\n"
                digest.update(line)
                file.write(line)
                if count % _TOLD_EVERY == 0:
                    tell(count)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        return cls(path, count, digest.hexdigest())

    def is_whole(self) -> bool:
        """Whether the file is still the one that was written."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def chunks(self, part_films: int, parts: Collection[int]) -> Iterator[tuple[ListedFilm, ...]]:
        """Yield the films of some parts in order, so many at a time that a part's end is a chunk's.

        Parameters
        ----------
        part_films : of a part; the last has what is left
        parts : counted from 0
        """
        for _, lines in self._spans(part_films, parts):
            yield parse_films(lines)

    def spans(self, part_films: int, parts: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield where in the file the lines of each chunk lie: the first byte, and how many."""
        for first, lines in self._spans(part_films, parts):
            yield first, len(lines)

    def _spans(self, part_films: int, parts: Collection[int]) -> Iterator[tuple[int, bytes]]:
        at = 0
        with self.path.open("rb") as file:
            for part in range(-(-self.films // part_films)):
                lines = islice(file, part_films)
                if part not in parts:
                    at += sum(map(len, lines))
                while some := b"".join(islice(lines, CHUNK_FILMS)):
                    yield at, some
                    at += len(some)


def parse_films(lines: bytes) -> tuple[ListedFilm, ...]:
    """Return the films that lines of a list tell of."""
    return tuple(ListedFilm(**json.loads(line)) for line in lines.splitlines())
