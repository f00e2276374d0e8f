"""Runs a target in a process of its own, and tells what crashed, hung, grew or was wrong.

The process writes each input into memory that it shares before it reads it: so what killed it, or
keeps it busy, is known, and is saved.
"""

import contextlib
import hashlib
import logging
import mmap
import multiprocessing
import os
import resource
import struct
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target, Wrong

SLOW_S: Final = 1.0
MOST_GROWN_MB: Final = 200
MOST_MB: Final = 1024
_HANG_S: Final = 20.0
_ADDRESS_SPACE_BYTES: Final = 8 * 2**30  # libraries map some of it, and use little
_BLOCK: Final = 500
_MOST_INPUT_BYTES: Final = 4 * 2**20
_HEAD: Final = struct.Struct("<qdq")  # number, since when it is read, bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One input that went wrong."""

    target: str
    number: int
    what: str
    data: bytes

    def save(self, folder: Path, suffix: str) -> Path:
        """Write the input, named by what it is."""
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(self.data).hexdigest()[:12]
        path = folder / f"{self.target}-{digest}.{suffix}"
        path.write_bytes(self.data)
        return path


@dataclass(slots=True)
class Tally:
    """What came of a target's inputs."""

    ends: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    worst_s: float = 0.0
    first_mb: float = 0.0
    last_mb: float = 0.0
    peak_mb: float = 0.0

    @property
    def grown_mb(self) -> float:
        """What it holds more than after its first block."""
        return self.last_mb - self.first_mb

    def wrong(self) -> list[str]:
        """Return what may not be, in words."""
        kinds = Counter(each.what for each in self.findings)
        said = [f"{what}, {count} times" for what, count in kinds.items()]
        if self.grown_mb > MOST_GROWN_MB:
            said.append(f"it grew by {self.grown_mb:.0f} MB")
        if self.peak_mb > MOST_MB:
            said.append(f"it took {self.peak_mb:.0f} MB")
        return said


def fuzz(
    target: Target,
    count: int,
    first: int = 0,
    hang_s: float = _HANG_S,
    tell: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Run `count` inputs of a target; go on behind one that ends its process.

    Parameters
    ----------
    hang_s : after which a process that reads one input is killed
    tell : called after each block
    """
    tally = Tally()
    end = first + count
    with _shared() as (path, memory):
        while first < end:
            first = _run_process(target, first, end, path, memory, hang_s, tally, tell)
    return tally


def run_again(target: Target, inputs: Iterable[bytes]) -> list[str]:
    """Run inputs that were kept, in this process; return how each ended. What is wrong raises."""
    target.open()
    try:
        return [_end_of(target, data)[0] for data in inputs]
    finally:
        target.close()


def _run_process(
    target: Target,
    first: int,
    end: int,
    path: Path,
    memory: mmap.mmap,
    hang_s: float,
    tally: Tally,
    tell: Callable[[Tally], None],
) -> int:
    """Run one process until it is through or dies; return the number to go on with."""
    memory[: _HEAD.size] = _HEAD.pack(first, 0.0, 0)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(target, first, end, path, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            if ours.poll(0.2):
                try:
                    part = ours.recv()
                except EOFError:
                    process.join()
                    return _died(target, memory, tally, f"crash ({process.exitcode})")
                if part is None:
                    process.join()
                    return end
                _add(tally, part)
                tell(tally)
            else:
                _, since_s, _ = _HEAD.unpack(memory[: _HEAD.size])
                if since_s and time.monotonic() - since_s > hang_s:
                    process.kill()
                    process.join()
                    return _died(target, memory, tally, f"hang ({hang_s:.0f} s)")
    finally:
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()


def _died(target: Target, memory: mmap.mmap, tally: Tally, what: str) -> int:
    number, since_s, length = _HEAD.unpack(memory[: _HEAD.size])
    if not since_s:
        raise RuntimeError(f"{target.name} can't be prepared: {what}")
    data = bytes(memory[_HEAD.size : _HEAD.size + length])
    tally.findings.append(Finding(target.name, number, what, data))
    tally.ends["FAILED"] += 1
    return int(number) + 1


def _add(tally: Tally, part: Tally) -> None:
    tally.ends += part.ends
    tally.findings += part.findings
    tally.worst_s = max(tally.worst_s, part.worst_s)
    tally.first_mb = tally.first_mb or part.last_mb
    tally.last_mb = part.last_mb
    tally.peak_mb = max(tally.peak_mb, part.peak_mb)


def _work(target: Target, first: int, end: int, path: Path, pipe: Pipe) -> None:
    """Read every input, in the child."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # Pillow and pydicom warn of odd metadata
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target.open()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        for begin in range(first, end, _BLOCK):
            part = Tally()
            count = min(_BLOCK, end - begin)
            for number, data in enumerate(target.inputs(begin, count), begin):
                written = data[:_MOST_INPUT_BYTES]
                memory[_HEAD.size : _HEAD.size + len(written)] = written
                memory[: _HEAD.size] = _HEAD.pack(number, time.monotonic(), len(written))
                _note(target, number, data, part)
            memory[: _HEAD.size] = _HEAD.pack(begin + count, 0.0, 0)
            part.last_mb = _resident_mb(target)
            part.peak_mb = max(part.last_mb, _peak_mb())
            pipe.send(part)
    target.close()
    pipe.send(None)


def _note(target: Target, number: int, data: bytes, part: Tally) -> None:
    try:
        ended, seconds = _end_of(target, data)
        # The machine may pause: slow is what is slow three times.
        for _ in range(2):
            if seconds > SLOW_S:
                seconds = min(seconds, _end_of(target, data)[1])
        part.worst_s = max(part.worst_s, seconds)
        part.ends[ended] += 1
        what = f"slow ({seconds:.1f} s)" if seconds > SLOW_S else ""
    except Wrong as wrong:
        what = str(wrong)
    except BaseException as error:  # noqa: BLE001 - what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    if what:
        part.ends["FAILED"] += 1
        part.findings.append(Finding(target.name, number, what, data))


def _end_of(target: Target, data: bytes) -> tuple[str, float]:
    started = time.perf_counter()
    ended = target.run(data)
    return ended, time.perf_counter() - started


def _resident_mb(target: Target) -> float:
    """Return the memory of this process and those that work for it."""
    pages = 0
    for process_id in (os.getpid(), *target.processes()):
        with contextlib.suppress(OSError):  # it ended
            pages += int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak_mb() -> float:
    """Return the most memory this program had (getrusage tells the parent's, if that was more)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextlib.contextmanager
def _shared() -> Iterator[tuple[Path, mmap.mmap]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        with path.open("w+b") as file:
            file.truncate(_HEAD.size + _MOST_INPUT_BYTES)
            with mmap.mmap(file.fileno(), 0) as memory:
                yield path, memory
