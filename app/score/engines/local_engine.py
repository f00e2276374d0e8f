"""The local engine: as many processes as there are CPUs, each with the model, one film at a time.

Rows come in the order of the films. A process that dies costs nothing: its films are read again,
one by one, and one that ends two processes gets a row that says so.
"""

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Final, Self

from app.errors import EngineFailed, SourceLost
from app.score.engines.score_process import ALIVE, READY, Chunk, Work, serve
from app.score.score_row import ScoreRow, make_lost_row

_CHUNKS_EACH: Final = 2
"""That a process holds: one to read, one so that it need not wait."""

_CHUNKS_OUT: Final = 4
"""For each process, from the first that is not told: what is done before its turn is held."""

_TRIES: Final = 2
_FALSE_STARTS: Final = 3

_SILENT_S: Final = 300.0
"""So long without a sign that any process reads: no film will come."""


@dataclass
class _Job:
    """A chunk, or one film of a chunk whose process died."""

    chunk: int
    at: int
    films: Chunk
    tries: int = 0
    alone: bool = False


@dataclass
class _Hand:
    """A process, this end of its pipe, and what it was given."""

    process: SpawnProcess
    connection: Connection
    is_ready: bool = False
    jobs: dict[int, _Job] = field(default_factory=dict)

    @property
    def is_alone(self) -> bool:
        """Whether it reads a film under suspicion, and so nothing else."""
        return any(job.alone for job in self.jobs.values())


class LocalEngine:
    """Reads films in processes of this machine; a context that ends them.

    Parameters
    ----------
    work : what is the same for all films
    processes : how many
    silent_s : without a sign of any process, so long is waited
    """

    def __init__(self, work: Work, processes: int, silent_s: float = _SILENT_S) -> None:
        self._work, self._processes, self._silent_s = work, processes, silent_s
        self._context = multiprocessing.get_context("spawn")
        self._hands: list[_Hand] = []
        self._false_starts = 0
        self.restarts = 0

    def __enter__(self) -> Self:
        """Start the processes."""
        for _ in range(self._processes):
            self._hands.append(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes."""
        for hand in self._hands:
            hand.process.kill()  # it holds nothing that is wanted
        for hand in self._hands:
            hand.process.join()
            hand.connection.close()

    @property
    def pids(self) -> list[int]:
        """The process ids of those that read."""
        return [hand.process.pid or 0 for hand in self._hands]

    def score(self, chunks: Iterable[Chunk]) -> Iterator[list[ScoreRow]]:
        """Read films; yield the rows of each chunk, in order.

        Raises
        ------
        EngineFailed
            If processes end before they are ready to read, again and again.
        SourceLost
            If films are asked for, and nothing comes any more, not even an error.
        """
        run = _Run(iter(chunks), _CHUNKS_OUT * self._processes)
        while True:
            for hand in self._hands:
                self._give(hand, run)
            if not any(hand.jobs for hand in self._hands):
                return
            ready = self._wait()
            for hand in [hand for hand in self._hands if hand.connection in ready]:
                self._hear(hand, run)
            yield from run.take()

    def _start(self) -> _Hand:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._work), daemon=True)
        with _shielded():
            process.start()
        theirs.close()
        return _Hand(process, ours)

    def _give(self, hand: _Hand, run: "_Run") -> None:
        while len(hand.jobs) < _CHUNKS_EACH and not hand.is_alone:
            if run.again:
                if hand.jobs:
                    return
                job: _Job | None = run.again.popleft()
            else:
                job = run.next_job()
            if job is None:
                return
            number = next(run.numbers)
            hand.jobs[number] = job
            try:
                hand.connection.send((number, job.films))
            except OSError:
                return  # it died: that is heard next

    def _wait(self) -> list[object]:
        """Wait for answers; return the connections that have some."""
        connections = [hand.connection for hand in self._hands]
        # Twice: the first time may have passed while all of this was stopped.
        ready = wait(connections, self._silent_s / 2) or wait(connections, self._silent_s / 2)
        if not ready and any(hand.is_ready for hand in self._hands):
            asked = [job for hand in self._hands for job in hand.jobs.values()]
            raise SourceLost(films=sum(len(job.films) for job in asked))
        return list(ready)

    def _hear(self, hand: _Hand, run: "_Run") -> None:
        try:
            number, rows = hand.connection.recv()
        except (EOFError, OSError):
            self._replace(hand, run)
            return
        if number == READY:
            hand.is_ready, self._false_starts = True, 0
        if number in (READY, ALIVE):
            return
        run.put(hand.jobs.pop(number), rows)

    def _replace(self, hand: _Hand, run: "_Run") -> None:
        hand.connection.close()
        hand.process.join()
        if hand.is_ready:
            self.restarts += 1
            run.suspect(hand.jobs.values())
        else:
            self._false_starts += 1
            run.again.extendleft(reversed(hand.jobs.values()))
        if self._false_starts == _FALSE_STARTS:
            raise EngineFailed
        self._hands[self._hands.index(hand)] = self._start()


@contextmanager
def _shielded() -> Iterator[None]:
    """Put Ctrl-C off; a process started meanwhile never sees it, from its first moment.

    It goes to all processes of a terminal, and half a start would leave a traceback there. It ends
    the run, and the run ends its processes.
    """
    resource_tracker.ensure_running()  # or the first start would do it, and lift the block
    pressed: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if is_main:
            signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt


class _Run:
    """Chunks on their way: which come next, which are to be read again, which are done.

    Parameters
    ----------
    most : chunks from the first that is not taken to the last that was begun
    """

    def __init__(self, chunks: Iterator[Chunk], most: int) -> None:
        self.again: deque[_Job] = deque()
        self.numbers = count()
        self._chunks, self._most = chunks, most
        self._begun = self._taken = 0
        self._rows: dict[int, list[ScoreRow | None]] = {}

    def next_job(self) -> _Job | None:
        """Begin a chunk; None if there is none, or too many wait to be taken."""
        if self._begun - self._taken >= self._most:
            return None
        films = next(self._chunks, None)
        if films is None:
            return None
        job = _Job(self._begun, 0, films)
        self._rows[self._begun] = [None] * len(films)
        self._begun += 1
        return job

    def put(self, job: _Job, rows: list[ScoreRow]) -> None:
        """Note the rows of a job."""
        self._rows[job.chunk][job.at : job.at + len(rows)] = rows

    def suspect(self, jobs: Iterable[_Job]) -> None:
        """Have the films of a process that died read again, each by itself."""
        for job in jobs:
            job.tries += job.alone
            if job.tries == _TRIES:
                self.put(job, [make_lost_row(film) for film in job.films])
            elif job.alone:
                self.again.append(job)
            else:
                self.again.extend(
                    _Job(job.chunk, job.at + at, (film,), alone=True)
                    for at, film in enumerate(job.films)
                )

    def take(self) -> Iterator[list[ScoreRow]]:
        """Yield the chunks that are done and next in order."""
        while self._taken in self._rows:
            rows = [row for row in self._rows[self._taken] if row is not None]
            if len(rows) < len(self._rows[self._taken]):
                return
            del self._rows[self._taken]
            self._taken += 1
            yield rows
