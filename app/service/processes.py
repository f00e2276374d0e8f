"""The processes of one service, in memory that all share: who they are, and what they take.

prometheus-client tells of a process only what is its own, and nothing at all with several: so
`ProcessCollector` reads /proc for every process of the service, and adds up.
"""

import mmap
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnxruntime
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app import __version__

_CELL_BYTES: Final = 8
_HEAD: Final = 3  # cells: the parent's process id, workers replaced, CPU of those that ended
_PROC: Final = Path("/proc")
_MICRO: Final = 1_000_000


class ProcessTable:
    """The process id of each worker, in memory that is shared with those forked after.

    A row has one writer: its worker, or the parent once the worker has ended. The head has one
    too: the parent.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._cells = memoryview(mmap.mmap(-1, (_HEAD + workers) * _CELL_BYTES)).cast("q")

    @property
    def restarts(self) -> int:
        """Workers that died or hung, and were replaced."""
        return self._cells[1]

    @property
    def ended_cpu_s(self) -> float:
        """Seconds of CPU of the workers that have ended."""
        return self._cells[2] / _MICRO

    def supervise(self) -> None:
        """Note that this process is the parent."""
        self._cells[0] = os.getpid()

    def enter(self, row: int) -> None:
        """Note that this process is the worker of a row."""
        self._cells[_HEAD + row] = os.getpid()

    def leave(self, row: int) -> None:
        """Note, in the parent, that a row's worker has ended and another will come."""
        self._cells[_HEAD + row] = 0
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cells[2] = round((used.ru_utime + used.ru_stime) * _MICRO)
        self._cells[1] += 1

    def rows(self) -> list[int]:
        """Return the rows that have a worker."""
        return [row for row in range(self.workers) if self._cells[_HEAD + row]]

    def pids(self) -> list[int]:
        """Return the process ids of the service: its parent's, if it has one, and its workers'."""
        return [pid for pid in (self._cells[0], *self._cells[_HEAD:]) if pid]


class ProcessCollector(Collector):
    """`process_*` of the whole service, its version, and how many workers were replaced."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Read /proc; a process that has just ended is left out."""
        build = GaugeMetricFamily(
            "neumo_build_info",
            "Versions of what serves; always 1.",
            labels=["version", "python", "onnxruntime"],
        )
        versions = [__version__, platform.python_version(), onnxruntime.__version__]
        build.add_metric(versions, 1)
        yield build
        yield GaugeMetricFamily(
            "neumo_workers", "Workers that serve or start.", len(self._table.rows())
        )
        yield CounterMetricFamily(
            "neumo_worker_restarts",
            "Workers that died or hung, and were replaced.",
            self._table.restarts,
        )
        yield from self._of_system()

    def _of_system(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        folders = [_PROC / str(pid) for pid in self._table.pids()]
        stats = [stat for stat in map(_read_stat, folders) if stat is not None]
        if not stats:  # no Linux
            return
        ticks = os.sysconf("SC_CLK_TCK")
        cpu_s = sum(int(stat[11]) + int(stat[12]) for stat in stats) / ticks
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "CPU that all processes of the service used, in seconds.",
            cpu_s + self._table.ended_cpu_s,
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of all processes of the service; what they share counts once.",
            sum(_memory(folder) for folder in folders),
        )
        yield GaugeMetricFamily(
            "process_virtual_memory_bytes",
            "Virtual memory of all processes of the service.",
            sum(int(stat[20]) for stat in stats),
        )
        begun = min(int(stat[19]) for stat in stats) / ticks
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "When the oldest process of the service began, in seconds since 1970.",
            _boot_time_s() + begun,
        )
        yield GaugeMetricFamily(
            "process_open_fds",
            "File descriptors that all processes of the service hold.",
            sum(_count_files(folder) for folder in folders),
        )
        yield GaugeMetricFamily(
            "process_max_fds",
            "File descriptors that one process may hold.",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )


def _read_stat(folder: Path) -> list[str] | None:
    """Return what follows the name in /proc/PID/stat (proc(5)): state is field 3, here 0."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _memory(folder: Path) -> int:
    """Return proportional set size, bytes: of a page that n processes share, 1/n."""
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident(folder)
    shares = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return next((int(share) * 1024 for share in shares), 0)


def _resident(folder: Path) -> int:
    stat = _read_stat(folder)
    return 0 if stat is None else int(stat[21]) * os.sysconf("SC_PAGE_SIZE")


def _boot_time_s() -> float:
    try:
        lines = (_PROC / "stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)


def _count_files(folder: Path) -> int:
    try:
        return sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return 0
