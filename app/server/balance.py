"""How several workers share one port evenly.

The kernel wakes every worker for a connection, and whoever is first takes it: of eight
connections one worker may get all, and answer them at half the speed. So each worker writes down,
in memory that all share, how many connections it has, and leaves a new one to whoever has fewer.
Accepted sockets never move, and nobody stands between a client and its worker.

`SO_REUSEPORT` would share out by a hash of the addresses, which is no more even for a few
connections, and loses those that wait for a worker that dies.
"""

import mmap
import time
from enum import IntEnum
from typing import Final

_FRESH_NS: Final = 500_000_000
"""A worker whose loop gave no sign for so long isn't waited for."""

_CELLS: Final = 3  # of a row: its stage, its connections, when its loop last gave a sign
_CELL_BYTES: Final = 8


class Stage(IntEnum):
    """Where in its life a worker is, as far as its port is concerned."""

    LOADING = 0
    ACCEPTING = 1
    STOPPED = 2


class ConnectionTable:
    """A row for each worker, in memory that is shared with those forked after it was made.

    A row has one writer: its worker, or the parent while there is none. Cells are as large as the
    machine's words, so a reader never sees half of one. What it sees may be out of date by the
    time it accepts; then two workers take one connection each, which is one too many at most.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        size = (1 + workers * _CELLS) * _CELL_BYTES
        self._cells = memoryview(mmap.mmap(-1, size)).cast("q")

    @property
    def listening(self) -> bool:
        """Whether the parent has opened the port."""
        return bool(self._cells[0])

    def open_port(self) -> None:
        """Note that the port is open."""
        self._cells[0] = 1

    def stage(self, worker: int) -> Stage:
        """Return where a worker is."""
        return Stage(self._cells[1 + worker * _CELLS])

    def set_stage(self, worker: int, stage: Stage) -> None:
        """Note where a worker is. One that loads has no connections yet."""
        if stage is Stage.LOADING:
            self.set_connections(worker, 0)
        self.give_sign(worker)
        self._cells[1 + worker * _CELLS] = stage

    def set_connections(self, worker: int, count: int) -> None:
        """Note how many connections a worker has."""
        self._cells[2 + worker * _CELLS] = count

    def give_sign(self, worker: int) -> None:
        """Note that a worker's loop turns."""
        self._cells[3 + worker * _CELLS] = time.monotonic_ns()

    def sign_age_s(self, worker: int) -> float:
        """Return the seconds since a worker's loop last gave a sign."""
        return (time.monotonic_ns() - self._cells[3 + worker * _CELLS]) / 1e9

    def may_accept(self, worker: int) -> bool:
        """Return whether no other worker that could take a connection has fewer."""
        cells = self._cells
        mine = cells[2 + worker * _CELLS]
        oldest_ns = time.monotonic_ns() - _FRESH_NS
        for row in range(1, 1 + self.workers * _CELLS, _CELLS):
            if (
                cells[row + 1] < mine
                and cells[row] == Stage.ACCEPTING
                and cells[row + 2] >= oldest_ns
            ):
                return False
        return True
