"""Leases: what a process took is its own until it is done, or dies.

Each holder of leases keeps a file locked while it lives (flock(2)): the kernel lets go of it
however the process ends, so what a killed one had taken is free at once. What is held for longer
than `LEASE_S` is free too.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from ulid import ULID

LEASE_S: Final = 900.0
"""Longer than any film takes to be read or sent."""

_ENDING: Final = ".holder"


class Holder:
    """One that takes leases, in one process, for as long as its file is locked.

    Parameters
    ----------
    folder : of all holders' files; made if it is not there
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.id = str(ULID())
            self._path = _path(folder, self.id)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self._path.exists():  # else another one took it for dead before it was locked
                return
            os.close(self._descriptor)

    def close(self) -> None:
        """Let go of the lock, and so of all leases; a second time does nothing."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def is_dead(folder: Path, holder_id: str, *, forget: bool = False) -> bool:
    """Whether a holder lives no more.

    Parameters
    ----------
    forget : delete its file then, since it has no lease any more
    """
    path = _path(folder, holder_id)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if forget:
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def all_holders(folder: Path) -> list[str]:
    """Return the ids of holders that have a file, the dead among them."""
    return [path.stem for path in folder.glob(f"*{_ENDING}")]


def _path(folder: Path, holder_id: str) -> Path:
    return folder / f"{holder_id}{_ENDING}"
