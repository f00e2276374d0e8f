"""Films read by several threads: a result for each, in the order they were given."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from app.cli.read.film_files import FilmFile, NoFilm, read_file
from app.errors import InternalError, NeumoError

if TYPE_CHECKING:
    from app.reading.population import Subject
    from app.reading.reader import Reader
    from app.reading.reading import Reading

_AHEAD: Final = 2
"""Films a thread that are read or wait to be told: what waits holds its pixels."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one file: a Reading, an error, or neither if it is no film.

    Parameters
    ----------
    total_ms : milliseconds, from opening the file
    """

    file: FilmFile
    reading: "Reading | None"
    error: NeumoError | None
    total_ms: float


class Output(Protocol):
    """One way of telling results."""

    def add(self, result: Result) -> None:
        """Take what came of one film: a Reading or an error."""

    def end(self) -> None:
        """Say what is said of all of them."""


def read_films(
    files: Sequence[FilmFile],
    reader: "Reader",
    subject: "Subject",
    window: int | None,
    most_bytes: int,
    threads: int,
) -> Iterator[Result]:
    """Read films; yield a result for each, in order, as soon as those before it are told.

    Parameters
    ----------
    subject : what is said of all the films
    window : as of `app.reading.reader.Reader.read`
    most_bytes : of a file; a larger one is an error
    """

    def read(file: FilmFile) -> Result:
        begun_s = time.perf_counter()
        reading, error = _try(lambda: reader.read(read_file(file, most_bytes), subject, window))
        return Result(file, reading, error, (time.perf_counter() - begun_s) * 1000)

    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for file in files:
            waiting.append(pool.submit(read, file))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _try(read: "Callable[[], Reading]") -> "tuple[Reading | None, NeumoError | None]":
    try:
        return read(), None
    except NoFilm:
        return None, None
    except NeumoError as error:
        return None, error
    except Exception:  # noqa: BLE001 - as over HTTP: the films after it are still read
        return None, InternalError()
