"""What may be sent: a film's bytes, its file's path, or an open file, and what is said of it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from neumo_client.errors import FilmUnreadable

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""JPEG, PNG or DICOM: the bytes, the path of a file, or a file opened in binary mode."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film, and what is said of it; what is None is not said.

    Nothing of it is in its `repr`, which may end in a log.

    Parameters
    ----------
    source : its bytes, its file's path, or an open file, which is read from where it stands
    age_years : years (61, 61.5), or DICOM's 061Y
    view : PA, AP, lateral, or another of DICOM's words
    window : which VOI LUT or window of a DICOM file, from 1
    """

    source: Source = field(repr=False)
    age_years: float | str | None = field(default=None, repr=False)
    view: str | None = field(default=None, repr=False)
    window: int | None = None

    def read(self) -> bytes:
        """Return the bytes.

        Raises
        ------
        FilmUnreadable
        """
        source = self.source
        if isinstance(source, bytes):
            return source
        if isinstance(source, bytearray | memoryview):
            return bytes(source)
        try:
            if isinstance(source, str | os.PathLike):
                return Path(source).read_bytes()
            content = source.read()
        except (OSError, ValueError) as error:  # a ValueError: closed, or a zero byte in the path
            why = getattr(error, "strerror", None) or type(error).__name__
            raise FilmUnreadable(f"The film's file can't be read: {why}.") from error
        if not isinstance(content, bytes):
            raise FilmUnreadable("The film's file is opened as text: open it with mode 'rb'.")
        return content

    @property
    def in_memory(self) -> bool:
        """Whether `read` asks nothing of a disk."""
        return isinstance(self.source, bytes | bytearray | memoryview)


def check_several(films: object) -> None:
    """Refuse one film where several are asked for: its bytes, or the letters of its path.

    Raises
    ------
    TypeError
    """
    if isinstance(films, Film | bytes | bytearray | memoryview | str | os.PathLike):
        raise TypeError("films is one film: give a list of them, or another iterable")


def film_of(
    film: Film | Source, age_years: float | str | None, view: str | None, window: int | None
) -> Film:
    """Return a `Film`; what it says itself wins over `age_years`, `view` and `window`."""
    if not isinstance(film, Film):
        return Film(film, age_years, view, window)
    return Film(
        film.source,
        age_years if film.age_years is None else film.age_years,
        view if film.view is None else film.view,
        window if film.window is None else film.window,
    )
