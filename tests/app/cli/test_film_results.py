"""app.cli.read.film_results: many films at once, told in their order."""

import threading
import time
from pathlib import Path
from typing import cast

import pytest

from app.cli.read.film_files import FilmFile
from app.cli.read.film_results import Result, read_films
from app.errors import FileUnreadable, ImageTruncated, InternalError
from app.reading.population import NOBODY, Subject
from app.reading.reader import Reader


class SlowReader:
    """Reads the first film slowest, and says how many it has begun."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.subjects: list[tuple[Subject, int | None]] = []
        self._lock = threading.Lock()

    def read(self, data: bytes, subject: Subject, window: int | None) -> bytes:
        with self._lock:
            self.begun.append(data)
            self.subjects.append((subject, window))
        time.sleep(0.2 if data.endswith(b"0") else 0.001)
        if data.endswith(b"3"):
            raise ImageTruncated
        if data.endswith(b"4"):
            raise ZeroDivisionError("a patient's name")
        return data


@pytest.fixture
def files(tmp_path: Path) -> list[FilmFile]:
    for index in range(40):
        (tmp_path / f"{index:02}").write_bytes(b"\xff\xd8\xff film %d" % index)
    return [FilmFile(tmp_path / f"{index:02}", found=True) for index in range(40)]


def results(files: list[FilmFile], reader: SlowReader, threads: int = 4) -> list[Result]:
    subject = Subject(40, "PA")
    return list(read_films(files, cast("Reader", reader), subject, 1, 100, threads))


def test_films_are_told_in_their_order_whichever_was_read_first(files: list[FilmFile]) -> None:
    reader = SlowReader()
    told = results(files, reader)
    assert [result.file for result in told] == files
    assert told[1].reading == b"\xff\xd8\xff film 1"  # type: ignore[comparison-overlap]
    assert set(reader.subjects) == {(Subject(40, "PA"), 1)}
    assert told[0].total_ms >= 200


def test_an_error_of_one_film_is_its_own(files: list[FilmFile]) -> None:
    told = results([*files[:6], FilmFile(Path("missing"))], SlowReader())
    kinds = [type(result.error) for result in told]
    assert kinds == [
        type(None), type(None), type(None), ImageTruncated, InternalError, type(None),
        FileUnreadable,
    ]  # fmt: skip
    assert "patient" not in told[4].error.detail("en")  # type: ignore[union-attr]


def test_what_is_no_film_has_neither_a_reading_nor_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"words")
    (told,) = results([FilmFile(tmp_path / "notes", found=True)], SlowReader())
    assert (told.reading, told.error) == (None, None)


def test_no_more_films_are_read_ahead_than_are_held(files: list[FilmFile]) -> None:
    reader = SlowReader()
    told = read_films(files, cast("Reader", reader), NOBODY, None, 100, threads=2)
    next(told)
    time.sleep(0.1)
    assert len(reader.begun) <= 2 * 2 + 1
    told.close()
    assert len(reader.begun) <= 2 * 2 + 1
