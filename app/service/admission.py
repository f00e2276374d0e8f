"""Which work is done: what can be done in time, for somebody who still waits for it.

`Admission` runs the work of requests on a fixed pool of threads. It measures how long a piece of
work takes, so it knows how long the next would wait, and refuses at once what would come too late.
What was let in is dropped, before each of its stages, once its client has gone or its deadline has
passed.
"""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

from app.errors import CallerGone, DeadlineExceeded, Overloaded
from app.service.telemetry import Metrics

Check = Callable[[], None]
"""Raises if a piece of work is no longer wanted."""

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

FIRST_GUESS_S: Final = 0.05
"""What a piece of work is thought to take before the first was measured."""

_WEIGHT: Final = 0.1
"""Of the newest measurement in the moving average: about the last 20 count."""

_TIMER_S: Final = 0.005
"""How much too early a timer of the event loop may go off."""


class Work(Protocol[Result_co]):
    """A piece of work; it calls `check` before each of its costly stages."""

    def __call__(self, *, check: Check) -> Result_co:
        """Do the work on a thread."""


class Claim:
    """One request that was let in: the bytes it holds, and whether its client still waits.

    Parameters
    ----------
    disconnected : returns when the client has gone; awaited only once the body is read
    """

    def __init__(self, disconnected: Callable[[], Awaitable[None]]) -> None:
        self.gone = False
        self.held_bytes = 0
        self._disconnected = disconnected
        self._watch: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[Any]] = set()

    @contextmanager
    def watching(self, waiting: asyncio.Future[Any]) -> Iterator[None]:
        """Cancel `waiting` if the client goes."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._wait_for_the_end())
        self._waiting.add(waiting)
        try:
            yield
        finally:
            self._waiting.discard(waiting)

    def close(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.cancel()

    async def _wait_for_the_end(self) -> None:
        await self._disconnected()
        self.gone = True
        for waiting in self._waiting:
            waiting.cancel()


class Admission:
    """A queue as long as its deadline allows, worked off by a fixed number of threads.

    Parameters
    ----------
    threads : that do the work
    deadline_s : seconds from a request's last byte to its answer. Half of it may be spent in the
        queue, or a small error of the estimate would let in what then is dropped.
    max_held_bytes : of bodies held in memory
    """

    def __init__(
        self, threads: int, deadline_s: float, max_held_bytes: int, metrics: Metrics
    ) -> None:
        self._threads = threads
        self._deadline_s = deadline_s
        self._max_held_bytes = max_held_bytes
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._lock = threading.Lock()  # over all below that threads change too
        self._service_s = FIRST_GUESS_S
        self._pending = 0
        self._begun_s: dict[int, float] = {}
        self._claims = 0
        self._held_bytes = 0

    @property
    def expected_wait_s(self) -> float:
        """How long a piece of work that came now would wait for a thread."""
        return self._pending * self._service_s / self._threads

    @property
    def longest_s(self) -> float:
        """How long the piece of work has run that has run the longest; 0 if none runs."""
        with self._lock:
            begun_s = min(self._begun_s.values(), default=None)
        return 0.0 if begun_s is None else time.monotonic() - begun_s

    @property
    def idle(self) -> bool:
        """Whether nothing is held, waited for or done: so it has to be once all have left."""
        return not (self._claims or self._held_bytes or self._pending or self._begun_s)

    def refusal(self) -> Overloaded | None:
        """Say whether a request that came now would wait too long; None if it would not."""
        return self._late(self._deadline_s / 2)

    @contextmanager
    def admit(
        self, declared_bytes: int, disconnected: Callable[[], Awaitable[None]]
    ) -> Iterator[Claim]:
        """Let one request in, before its body is read, until it is answered.

        Raises
        ------
        Overloaded
            If it would wait too long, or the bodies held leave no room for `declared_bytes`.
        """
        late = self.refusal()
        if late is not None:
            raise late
        self._refuse_large(declared_bytes, held_by_others=self._held_bytes)
        claim = Claim(disconnected)
        self._claims += 1
        self._metrics.set_in_flight(self._claims)
        try:
            yield claim
        finally:
            claim.close()
            self._claims -= 1
            self._held_bytes -= claim.held_bytes
            self._metrics.set_in_flight(self._claims)

    @contextmanager
    def receive(self) -> Iterator[Claim]:
        """Account for the bytes of one request that asks for no thread, until it is answered."""
        claim = Claim(_stays)
        try:
            yield claim
        finally:
            self._held_bytes -= claim.held_bytes

    def let_go(self, claim: Claim, fewer_bytes: int) -> None:
        """Account for bytes that are held no longer, of a request that goes on."""
        claim.held_bytes -= fewer_bytes
        self._held_bytes -= fewer_bytes

    def hold(self, claim: Claim, more_bytes: int) -> None:
        """Account for bytes that came. What was only declared takes no room: it may never come.

        Raises
        ------
        Overloaded
            If there is no room for them beside other requests'. One is never too large to be
            alone: its own limit bounds it.
        """
        self._refuse_large(
            claim.held_bytes + more_bytes, held_by_others=self._held_bytes - claim.held_bytes
        )
        claim.held_bytes += more_bytes
        self._held_bytes += more_bytes

    async def run(self, work: Work[Result], claim: Claim, *, refuse_late: bool = True) -> Result:
        """Do `work` on a thread of the pool, within the deadline from now on.

        Parameters
        ----------
        refuse_late : or else it waits its turn however long the queue is, for it goes on with
            what was done already

        Raises
        ------
        Overloaded
            If it can't be done in time.
        DeadlineExceeded
            If it was not. It is given up: at its next stage if it has begun.
        CallerGone
            If the client has gone.
        """
        if claim.gone:
            raise CallerGone
        late = self._late(self._deadline_s) if refuse_late else None
        if late is not None:
            raise late
        deadline_s = time.monotonic() + self._deadline_s
        future = self._submit(work, claim, deadline_s)
        waiting = asyncio.wrap_future(future)
        try:
            with claim.watching(waiting):
                async with asyncio.timeout(self._deadline_s):
                    return await waiting
        except TimeoutError:
            raise DeadlineExceeded from None
        except asyncio.CancelledError:
            if claim.gone:
                raise CallerGone from None
            raise

    def close(self) -> None:
        """Stop the threads once their work is done; what waits is given up."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, work: Work[Result], claim: Claim, deadline_s: float) -> Future[Result]:
        stage: Literal["decode", "inference"] = "decode"

        def check() -> None:
            reason = _unwanted(claim, deadline_s)
            if reason is not None:
                self._metrics.count_dropped(reason, stage)
                raise CallerGone if reason == "client_gone" else DeadlineExceeded

        def do() -> Result:
            nonlocal stage
            check()
            stage = "inference"
            with self._timed() as timing:

                def check_on_the_way() -> None:
                    check()
                    timing.counts = True

                return work(check=check_on_the_way)

        def leave(future: Future[Result]) -> None:
            if future.cancelled():  # before a thread took it
                self._metrics.count_dropped(_unwanted(claim, deadline_s) or "stopped", "decode")
            self._count(-1)

        self._count(1)
        try:
            future = self._executor.submit(do)
        except RuntimeError:  # shut down meanwhile
            self._count(-1)
            raise
        future.add_done_callback(leave)
        return future

    @contextmanager
    def _timed(self) -> Iterator["_Timing"]:
        """Tell how long work has run while it does, and average what it took.

        Work that failed before its costly stage says nothing of what the next will take, unless
        it took long to fail.
        """
        timing = _Timing()
        thread, begun_s = threading.get_ident(), time.monotonic()
        with self._lock:
            self._begun_s[thread] = begun_s
        try:
            yield timing
        finally:
            spent_s = time.monotonic() - begun_s
            with self._lock:
                del self._begun_s[thread]
                if timing.counts or spent_s > self._service_s:
                    self._service_s += _WEIGHT * (spent_s - self._service_s)

    def _count(self, change: int) -> None:
        with self._lock:
            self._pending += change
            self._metrics.set_queue(max(0, self._pending - self._threads))

    def _late(self, allowed_s: float) -> Overloaded | None:
        wait_s = self.expected_wait_s
        return Overloaded(retry_after_s=math.ceil(wait_s)) if wait_s > allowed_s else None

    def _refuse_large(self, needed_bytes: int, held_by_others: int) -> None:
        if held_by_others > 0 and held_by_others + needed_bytes > self._max_held_bytes:
            raise Overloaded(retry_after_s=1)


async def _stays() -> None:
    """Never return: nothing of the request is waited for that its client's end would cancel."""
    await asyncio.Future()


@dataclass(slots=True)
class _Timing:
    """Whether a piece of work came to its costly stage."""

    counts: bool = False


def _unwanted(claim: Claim, deadline_s: float) -> Literal["client_gone", "deadline"] | None:
    if claim.gone:
        return "client_gone"
    return "deadline" if time.monotonic() >= deadline_s - _TIMER_S else None
