"""How often each caller has asked, counted for all workers together.

A token bucket as the generic cell rate algorithm has it (ITU-T I.371, annex A): of each account one
number is kept, the time at which its bucket will be full again. The numbers lie in memory that is
shared with the processes forked later. What reads and writes one holds a lock of the kernel's on
its row, which the kernel lets go of if the process dies.
"""

import fcntl
import hashlib
import mmap
import os
import time
from typing import Final

from app.access.caller import Rate

_ROWS: Final = 1024
_WAYS: Final = 8  # accounts of one row
_CELL_BYTES: Final = 8
_CELLS: Final = 2 * _WAYS  # each has its account's hash, and when its bucket is full
_NS: Final = 1_000_000_000
_LEAST_PER_S: Final = 1e-6  # one in twelve days
_LONGEST_NS: Final = 2**61  # a cell holds times up to 2^63


class RateTable:
    """The buckets of up to some 8,000 accounts that have asked lately.

    One that hasn't has a full bucket, which needs no place. Where a row has none left, an account
    shares the place of the one that waits least: it may be refused earlier, never later.
    """

    def __init__(self) -> None:
        size = _ROWS * _CELLS * _CELL_BYTES
        self._cells = memoryview(mmap.mmap(-1, size)).cast("q")
        # Without content: what is locked of a file need not be there.
        self._file = os.memfd_create("neumo-rates")

    def take(self, account: str, rate: Rate) -> float:
        """Count one request.

        Returns
        -------
        0 if it may be answered; else the seconds after which the next may, and it is not counted
        """
        digest = hashlib.blake2b(account.encode(), digest_size=10).digest()
        mark = int.from_bytes(digest[:8], "little", signed=True) or 1
        row = int.from_bytes(digest[8:], "little") % _ROWS
        step_ns = int(_NS / max(rate.per_s, _LEAST_PER_S))
        burst = min(rate.burst, _LONGEST_NS // step_ns)
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, row)
        try:
            now_ns = time.monotonic_ns()  # the same clock in all processes
            cell = self._place_of(mark, row, now_ns)
            full_ns = max(self._cells[cell + 1], now_ns) + step_ns
            wait_ns = full_ns - now_ns - burst * step_ns
            if wait_ns <= 0:
                self._cells[cell], self._cells[cell + 1] = mark, full_ns
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, row)
        return max(0, wait_ns) / _NS

    def close(self) -> None:
        """Let go of the locks."""
        os.close(self._file)

    def _place_of(self, mark: int, row: int, now_ns: int) -> int:
        begin = row * _CELLS
        cells = range(begin, begin + _CELLS, 2)
        for cell in cells:
            if self._cells[cell] == mark:
                return cell
        least = min(cells, key=lambda cell: self._cells[cell + 1])
        if self._cells[least + 1] <= now_ns:
            self._cells[least + 1] = 0  # its account's bucket is full: nothing is forgotten
        return least
