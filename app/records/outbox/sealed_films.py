"""Films on disk while they wait: a sealed file each, named by the row's id, never by a UID."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from app.errors import FilmLost
from app.records.integrity.seal import Seal
from app.records.outbox.queue_database import answering

_ENDING: Final = ".film"
_YOUNG_S: Final = 900.0
"""A file without a row that is younger may be a film that is being kept at this moment."""


class SealedFilms:
    """The files of films.

    Parameters
    ----------
    folder : that they lie in; made if it is not there
    """

    def __init__(self, folder: Path, seal: Seal) -> None:
        self._folder, self._seal = folder, seal
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, film_id: str, data: bytes) -> None:
        """Write a film; it is on the disk when this returns, or not there at all.

        Raises
        ------
        QueueFull, QueueAway
        """
        sealed = self._seal.close(f"film:{film_id}", data)
        path = self._path(film_id)
        with answering():
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(sealed)
                    file.flush()
                    os.fsync(descriptor)
                self._sync_folder()
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def read(self, film_id: str) -> bytes:
        """Return a film.

        Raises
        ------
        FilmLost
            If it is not there, or was changed.
        QueueAway
        """
        with answering():
            try:
                sealed = self._path(film_id).read_bytes()
            except FileNotFoundError:
                raise FilmLost from None
        return self._seal.open(f"film:{film_id}", sealed)

    def has(self, film_id: str) -> bool:
        """Whether a film's file is there."""
        return self._path(film_id).exists()

    def drop(self, film_id: str) -> None:
        """Delete a film's file, if it is there."""
        with answering():
            self._path(film_id).unlink(missing_ok=True)

    def drop_orphans(self, known: Collection[str]) -> int:
        """Delete files whose film has no row, and say how many: their sender was told nothing."""
        oldest_s, dropped = time.time() - _YOUNG_S, 0
        for path in self._folder.glob(f"*{_ENDING}"):
            try:
                if path.stem not in known and path.stat().st_mtime < oldest_s:
                    path.unlink()
                    dropped += 1
            except FileNotFoundError:
                continue  # another process was first
        return dropped

    def ids(self) -> set[str]:
        """Return the films that have a file."""
        return {path.stem for path in self._folder.glob(f"*{_ENDING}")}

    def _path(self, film_id: str) -> Path:
        return self._folder / f"{film_id}{_ENDING}"

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
