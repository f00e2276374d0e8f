"""The files a command was given: folders walked, standard input, none larger than a limit."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

STDIN: Final = Path("-")
_HEAD_BYTES: Final = 512
_NO_FILE: Final = "no file in this folder"


class NoFilm(Exception):
    """A file of a folder that is neither JPEG nor PNG nor DICOM: nobody said that it is a film."""


@dataclass(frozen=True, slots=True)
class FilmFile:
    """One file to be read.

    Parameters
    ----------
    path : as given, or below the folder that was given; `STDIN` is standard input
    found : whether it was found in a folder, so that it may be anything
    fault : why it can't be opened, if that is known already
    """

    path: Path
    found: bool = False
    fault: str = ""


def list_files(paths: Iterable[Path]) -> list[FilmFile]:
    """List what was given in its order, folders walked by name; hidden files are left out.

    Links to folders are not followed: they may lead in a circle.

    Raises
    ------
    click.UsageError
        If standard input is named twice, or is a terminal.
    """
    files: list[FilmFile] = []
    for path in paths:
        if path != STDIN and path.is_dir():
            files += list(_walk(path)) or [FilmFile(path, fault=_NO_FILE)]
        else:
            files.append(FilmFile(path))
    inputs = sum(file.path == STDIN for file in files)
    if inputs > 1 or (inputs and sys.stdin.isatty()):
        raise click.UsageError("- reads one film from standard input: pipe one in")
    return files


def _walk(folder: Path) -> Iterator[FilmFile]:
    faults: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=faults.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(root, name) for name in sorted(names) if not name.startswith(".")]
        yield from (FilmFile(path, found=True) for path in paths if path.is_file())
    for fault in faults:
        yield FilmFile(Path(fault.filename), fault=fault.strerror or type(fault).__name__)


def read_file(file: FilmFile, most_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    FileUnreadable
    BodyTooLarge
        If it has more than `most_bytes`; no more than these are read.
    NoFilm
        If it was found in a folder, and its content is of no format that Neumo reads.
    """
    from app.errors import BodyTooLarge, FileUnreadable
    from app.image.file_format import known_format

    if file.fault:
        raise FileUnreadable(reason=file.fault)
    try:
        if file.path == STDIN:
            data = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with file.path.open("rb") as stream:
                data = stream.read(_HEAD_BYTES)
                if file.found and known_format(data) is None:
                    raise NoFilm
                data += stream.read(most_bytes + 1 - len(data))
    except OSError as error:
        raise FileUnreadable(reason=error.strerror or type(error).__name__) from None
    if len(data) > most_bytes:
        raise BodyTooLarge(max_body_bytes=most_bytes)
    return data


def check_place(out: Path, flag: str, files: Iterable[FilmFile]) -> None:
    """Find what is wrong with a file that is to be written, before films are read for minutes.

    Raises
    ------
    click.UsageError
        If there is no such folder, or the file is one of the films: it would be lost.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise click.UsageError(f"{flag} names no file in a folder that is there")
    if out.exists() and any(
        file.path != STDIN and file.path.exists() and file.path.samefile(out) for file in files
    ):
        raise click.UsageError(f"{flag} names a film that is to be read: it would be lost")


def text_of(path: Path) -> str:
    """Return a path as text; bytes that are none in UTF-8 become replacement characters."""
    return os.fsencode(path).decode(errors="replace")


def shown(path: Path) -> str:
    """Return a path for a terminal, on which a control character could do anything."""
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text_of(path)
    )
