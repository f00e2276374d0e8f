"""Where films come from: a folder, a manifest, one file, or a URL that fsspec knows.

A film is named as the rows of the result name it: by its path below the folder, or as the manifest
has it. What it is, its content decides.
"""

import csv
import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from app.errors import BodyTooLarge, EmptyUpload, FileUnreadable, NeumoError, SourceUnusable
from app.image.file_format import known_format

MANIFEST: Final = "manifest.csv"
_TRIES: Final = 3
_PAUSE_S: Final = 0.5
_CREDENTIALS: Final = re.compile(r"//[^/@]*@")


class NoFilm(Exception):
    """A file that was found, and is neither JPEG nor PNG nor DICOM: nobody said it is a film."""


@dataclass(frozen=True, slots=True)
class ListedFilm:
    """One film to be read.

    Parameters
    ----------
    path : below the folder, or as the manifest has it
    found : whether it was found, so that it may be anything; what a manifest names is a film
    age, view : what a manifest says of it, in words
    fault : why it can't be opened, if that is known already
    """

    path: str
    found: bool = False
    age: str = ""
    view: str = ""
    fault: str = ""


class Source(Protocol):
    """A place that holds films; it crosses to other processes."""

    @property
    def name(self) -> str:
        """As it was given, without credentials."""

    @property
    def is_remote(self) -> bool:
        """Whether several films had better be fetched at once."""

    def list_films(self) -> Iterator[ListedFilm]:
        """List all films in a stable order.

        Raises
        ------
        SourceUnusable
        """

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Return the bytes of a film; no more than `most_bytes` and one are read.

        Raises
        ------
        FileUnreadable, BodyTooLarge, EmptyUpload, NoFilm
        """


def open_source(given: str) -> Source:
    """Return the source that a path or a URL names.

    Raises
    ------
    SourceUnusable
    """
    if "://" in given or "::" in given:
        return StoreSource(given)
    path = Path(given)
    if not path.exists():
        raise SourceUnusable(reason="there is no such folder or file")
    if path.is_dir():
        return DiskSource(path, (path / MANIFEST) if (path / MANIFEST).is_file() else None)
    return DiskSource(path.parent, path if path.suffix.lower() == ".csv" else None, path.name)


def can_be_opened(source: Source, film: ListedFilm, most_bytes: int) -> bool:
    """Whether a film can be opened here and now, whatever it is."""
    try:
        source.read(film, most_bytes)
    except FileUnreadable:
        return False
    except (NeumoError, NoFilm):
        pass
    return True


@dataclass(frozen=True)
class DiskSource:
    """A folder of this machine, hidden files left out; a manifest in it; or one film.

    Links to folders are not followed: they may lead in a circle.
    """

    folder: Path
    manifest: Path | None = None
    only: str = ""
    is_remote = False

    @property
    def name(self) -> str:
        """The absolute path."""
        return str((self.manifest or self.folder / self.only).absolute())

    def list_films(self) -> Iterator[ListedFilm]:
        """List as of `Source.list_films`, folder by folder, by name."""
        if self.manifest is not None:
            try:
                with self.manifest.open(encoding="utf-8-sig", newline="") as file:
                    yield from _read_manifest(file)
            except OSError as error:
                reason = f"the manifest can't be opened ({error.strerror})"
                raise SourceUnusable(reason=reason) from None
        elif self.only:
            yield ListedFilm(self.only)
        else:
            yield from self._walk()

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Read as of `Source.read`."""
        if film.fault:
            raise FileUnreadable(reason=film.fault)
        try:
            data = _read_file(os.path.join(self.folder, film.path), most_bytes)  # noqa: PTH118
        except OSError as error:
            raise FileUnreadable(reason=error.strerror or type(error).__name__) from None
        except ValueError:  # a manifest's path that is none, such as one with a NUL
            raise FileUnreadable(reason="it is no path") from None
        if data and film.found and known_format(data) is None:
            raise NoFilm
        return _checked(data, most_bytes)

    def _walk(self) -> Iterator[ListedFilm]:
        faults: list[OSError] = []
        for root, folders, names in os.walk(self.folder, onerror=faults.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = os.path.relpath(root, self.folder)
            for name in sorted(name for name in names if not name.startswith(".")):
                if os.path.isfile(os.path.join(root, name)):  # noqa: PTH113, PTH118 - millions
                    yield ListedFilm(name if below == "." else f"{below}/{name}", found=True)
        for fault in faults:
            path = os.path.relpath(fault.filename, self.folder)
            yield ListedFilm(path, fault=fault.strerror or type(fault).__name__)


class StoreSource:
    """What a URL of fsspec leads to: a bucket's prefix, an archive file, a manifest in either.

    Fetching is tried again a few times: networks have moments.
    """

    is_remote = True

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = _CREDENTIALS.sub("//", url)
        self._opened: tuple[Any, str] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave connections behind."""
        return self.__dict__ | {"_opened": None}

    def list_films(self) -> Iterator[ListedFilm]:
        """List as of `Source.list_films`."""
        try:
            files, root = self._open()
            manifest = root if root.lower().endswith(".csv") else _join(root, MANIFEST)
            if files.isfile(manifest):
                content = files.cat_file(manifest).decode("utf-8-sig")
            elif files.isdir(root) or root in ("", "/"):
                content = None
            else:
                raise SourceUnusable(reason="there is nothing at this address")
        except SourceUnusable:
            raise
        except UnicodeDecodeError:
            raise SourceUnusable(reason="the manifest is not in UTF-8") from None
        except Exception as error:  # noqa: BLE001 - every store raises its own
            raise SourceUnusable(reason=f"the store says {type(error).__name__}") from None
        if content is not None:
            yield from _read_manifest(io.StringIO(content, newline=""))
            return
        try:
            for path in _walk_store(files, root):
                yield ListedFilm(path.removeprefix(root).lstrip("/"), found=True)
        except Exception as error:  # noqa: BLE001 - a list that is not whole is none
            raise SourceUnusable(reason=f"listing ended with {type(error).__name__}") from None

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Read as of `Source.read`."""
        if film.fault:
            raise FileUnreadable(reason=film.fault)
        for tried in range(1, _TRIES + 1):
            try:
                files, root = self._open()
                folder = root.rpartition("/")[0] if root.lower().endswith(".csv") else root
                data: bytes = files.cat_file(_join(folder, film.path), end=most_bytes + 1)
                break
            except Exception as error:  # noqa: BLE001 - every store raises its own
                known = isinstance(error, FileNotFoundError | PermissionError)
                if known or tried == _TRIES:
                    raise FileUnreadable(reason=type(error).__name__) from None
                time.sleep(_PAUSE_S * tried)
        if data and film.found and known_format(data) is None:
            raise NoFilm
        return _checked(data, most_bytes)

    def _open(self) -> tuple[Any, str]:
        """Return fsspec's file system, and the path in it."""
        if self._opened is None:
            try:
                from fsspec.core import url_to_fs  # noqa: PLC0415 - only URLs need it

                files, root = url_to_fs(self._url)
            except (ImportError, ValueError):
                reason = "no package that is installed reads such an address"
                raise SourceUnusable(reason=reason) from None
            self._opened = files, str(root).rstrip("/")
        return self._opened


def _read_file(path: str, most_bytes: int) -> bytes:
    """Return a file's bytes in as few calls as it takes: millions are read."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        size = min(os.fstat(file.fileno()).st_size, most_bytes)
        data = file.read(size + 1)
        while len(data) < size and (more := file.read(size + 1 - len(data))):
            data += more
        return data


def _checked(data: bytes, most_bytes: int) -> bytes:
    if not data:
        raise EmptyUpload
    if len(data) > most_bytes:
        raise BodyTooLarge(max_body_bytes=most_bytes)
    return data


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name


def _walk_store(files: Any, root: str) -> Iterator[str]:  # noqa: ANN401 - fsspec's file system
    """Yield the files of a store, folder by folder, by name, hidden ones left out.

    Its own `walk` passes over folders that can't be listed, and tells nobody.
    """
    folders = [root]
    while folders:
        folder = folders.pop()
        below: set[str] = set()
        names: set[str] = set()  # a film may have the name of a folder
        for entry in files.ls(folder, detail=True):
            path = str(entry["name"]).rstrip("/")
            # A store may name a folder itself in its list, as a file even: a marker.
            if path != folder and not path.rpartition("/")[2].startswith("."):
                (below if entry["type"] == "directory" else names).add(path)
        yield from sorted(names)
        folders += sorted(below, reverse=True)


def _read_manifest(file: Iterable[str]) -> Iterator[ListedFilm]:
    """Yield the rows of a manifest as they come; its first line names the columns."""
    try:
        lines = iter(file)
        first = next(lines, "")
        delimiter = max(",;\t", key=first.count)
        columns = next(csv.reader([first], delimiter=delimiter), [])
        if "path" not in columns:
            raise SourceUnusable(reason="the manifest has no column path")
        for row in csv.DictReader(lines, columns, delimiter=delimiter):
            path = (row["path"] or "").strip()
            age, view = ((row.get(name) or "").strip() for name in ("age_years", "view"))
            yield ListedFilm(path, age=age, view=view, fault="" if path else "the row has no path")
    except (UnicodeDecodeError, csv.Error):
        raise SourceUnusable(reason="the manifest is no CSV file in UTF-8") from None
