"""The spool: a file of rows on their way to the database, one for each chain.

A row a line, as JSON. A line is whole or it isn't there: one that a crash cut off is not read. Its
writer holds a lock on the file, which the kernel takes away when the process ends, however it
ends: then another worker adopts what is left.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from app.records.integrity.chain import Row

SUFFIX: Final = ".spool"
_READ_BYTES: Final = 4 * 2**20


class Spool:
    """The open and locked file of one chain. Appended to by one thread, read by another."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._offset = 0

    @classmethod
    def create(cls, folder: Path, chain: str) -> Self:
        """Make the spool of a new chain.

        Raises
        ------
        OSError
        """
        path = folder / f"{chain}{SUFFIX}"
        draft = path.with_suffix(".new")  # nobody may adopt it before it is locked
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(path)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Take over the spool of a process that ended; None while it, or another, has it."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.fstat(descriptor).st_nlink > 0  # or its adopter was done with it meanwhile
        except BlockingIOError:
            ours = False
        if ours:
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    @property
    def chain(self) -> str:
        """Whose rows these are."""
        return self.path.stem

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def offset(self) -> int:
        """Bytes that were delivered."""
        return self._offset

    @property
    def closed(self) -> bool:
        """Whether it was given up or removed."""
        return self._descriptor < 0

    @property
    def waiting(self) -> bool:
        """Whether it holds rows that were not `delivered`."""
        return self._offset < self._size

    def append(self, data: bytes) -> None:
        """Write lines, and return once they are on the disk: all of them, or none.

        Raises
        ------
        OSError
        """
        size = self._size
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], size + written)
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise
        self._size = size + len(data)

    def read(self, most_rows: int) -> tuple[list[Row], int]:
        """Return rows that were not delivered, and where in the file they end.

        Raises
        ------
        OSError
        """
        rows: list[Row] = []
        end = self._offset
        for line in self._lines(most_rows):
            end += len(line)
            with contextlib.suppress(ValueError):  # the database shows what is missing
                row = json.loads(line)
                if isinstance(row, dict):
                    rows.append(row)
        return rows, end

    def delivered(self, end: int) -> None:
        """Note that what stands before `end` is in the database."""
        self._offset = end

    def empty(self) -> None:
        """Cut off what was delivered. To be called by the thread that appends.

        Raises
        ------
        OSError
        """
        if self._offset and self._offset == self._size:
            os.ftruncate(self._descriptor, 0)
            self._offset = self._size = 0

    def remove(self) -> None:
        """Delete the file: its chain has ended in the database."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give the file up, for another to adopt."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _lines(self, most_rows: int) -> Iterator[bytes]:
        length = min(self._size - self._offset, _READ_BYTES)
        rest = os.pread(self._descriptor, length, self._offset)
        for line in rest.splitlines(keepends=True)[:most_rows]:
            if line.endswith(b"\n"):
                yield line


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
