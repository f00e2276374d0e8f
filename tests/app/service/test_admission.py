"""Admission: what can't be done in time is refused, what is unwanted is dropped, nothing leaks."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.errors import CallerGone, DeadlineExceeded, Overloaded, UnsupportedMediaType
from app.service.admission import FIRST_GUESS_S, Admission, Check, Claim, Work
from app.service.telemetry import Metrics
from tests.contract.test_health import value_of


async def stay() -> None:
    """Be a client that waits for its answer."""
    await asyncio.Event().wait()


class Bench:
    """An admission of one thread, work that takes as long as a test wants, and its counters."""

    def __init__(self, deadline_s: float = 10.0, max_held_bytes: int = 100) -> None:
        self.metrics = Metrics()
        self.admission = Admission(1, deadline_s, max_held_bytes, self.metrics)
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self.stages: list[str] = []

    def two_stages(self, *, check: Check) -> str:
        """Decode, wait until told to go on, infer."""
        self.stages.append("decode")
        self.begun.set()
        self.go_on.wait(10)
        check()
        self.stages.append("inference")
        return "read"

    def quick(self, *, check: Check) -> str:
        check()
        self.stages.append("quick")
        return "read"

    async def request(
        self, work: Work[str] | None = None, disconnected: Callable[[], Awaitable[None]] = stay
    ) -> str:
        with self.admission.admit(1, disconnected) as claim:
            self.admission.hold(claim, 1)
            return await self.admission.run(work or self.two_stages, claim)

    def dropped(self, reason: str, before: str) -> float:
        series = f'neumo_dropped_total{{before="{before}",reason="{reason}"}}'
        return value_of(self.metrics.render().decode(), series)

    def gauge(self, name: str) -> float:
        return value_of(self.metrics.render().decode(), name)

    async def until_begun(self) -> None:
        await asyncio.to_thread(self.begun.wait, 10)

    async def until_idle(self) -> None:
        """Every counter is back at nothing, once the thread is done too."""
        self.go_on.set()
        for _ in range(500):
            if self.admission.idle:
                break
            await asyncio.sleep(0.01)
        assert self.admission.idle
        assert self.gauge("neumo_in_flight") == self.gauge("neumo_queue_depth") == 0
        assert await self.request(self.quick) == "read"  # the place is really free


@asynccontextmanager
async def bench(deadline_s: float = 10.0, max_held_bytes: int = 100) -> AsyncIterator[Bench]:
    made = Bench(deadline_s, max_held_bytes)
    try:
        yield made
        await made.until_idle()
    finally:
        made.go_on.set()
        made.admission.close()


@pytest.mark.alone
def test_what_would_wait_longer_than_half_the_deadline_is_refused_at_once() -> None:
    async def scenario() -> None:
        async with bench(deadline_s=FIRST_GUESS_S * 6) as made:  # a wait of three
            waiting = [asyncio.create_task(made.request()) for _ in range(4)]
            await made.until_begun()
            assert made.gauge("neumo_in_flight") == 4
            assert made.gauge("neumo_queue_depth") == 3
            asked_s = time.monotonic()
            with pytest.raises(Overloaded) as refused:
                await made.request()
            assert time.monotonic() - asked_s < 0.05
            assert refused.value.headers()["Retry-After"] == "1"
            made.go_on.set()
            assert await asyncio.gather(*waiting) == ["read"] * 4

    asyncio.run(scenario())


def test_how_long_work_takes_is_measured() -> None:
    def slow(*, check: Check) -> str:
        check()
        time.sleep(0.2)
        return "read"

    async def scenario() -> None:
        async with bench(deadline_s=1.0) as made:
            for _ in range(8):  # 0.05 s were guessed
                await made.request(slow)
            waiting = [asyncio.create_task(made.request()) for _ in range(4)]
            await made.until_begun()
            with pytest.raises(Overloaded) as refused:
                await made.request()  # four of 0.05 s would be in time, four of 0.13 s are not
            assert refused.value.headers()["Retry-After"] == "1"
            made.go_on.set()
            await asyncio.gather(*waiting)

    asyncio.run(scenario())


def test_what_fails_at_once_does_not_make_work_look_quick() -> None:
    def refuse(*, check: Check) -> str:  # noqa: ARG001 - text that is no image comes not so far
        raise UnsupportedMediaType

    def slow(*, check: Check) -> str:
        check()
        time.sleep(0.1)
        return "read"

    async def scenario() -> None:
        async with bench(deadline_s=1.0) as made:
            for _ in range(30):
                await made.request(slow)
            before_s = made.admission._service_s
            for _ in range(60):
                with pytest.raises(UnsupportedMediaType):
                    await made.request(refuse)
            assert made.admission._service_s == before_s == pytest.approx(0.1, rel=0.3)
            waiting = [asyncio.create_task(made.request()) for _ in range(8)]
            await made.until_begun()
            with pytest.raises(Overloaded):
                await made.request()
            made.go_on.set()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(scenario())


def test_what_takes_long_to_fail_is_measured() -> None:
    def fail(*, check: Check) -> str:  # noqa: ARG001 - it fails before
        time.sleep(0.2)
        raise UnsupportedMediaType

    async def scenario() -> None:
        async with bench(deadline_s=1.0) as made:
            for _ in range(8):
                with pytest.raises(UnsupportedMediaType):
                    await made.request(fail)
            assert made.admission._service_s > 2 * FIRST_GUESS_S

    asyncio.run(scenario())


def test_a_request_alone_is_let_in_however_long_work_takes() -> None:
    async def scenario() -> None:
        async with bench(deadline_s=0.4) as made:
            made.go_on.set()
            for _ in range(3):
                made.admission._service_s = 1000.0
                assert await made.request() == "read"

    asyncio.run(scenario())


def test_work_whose_client_goes_while_it_waits_is_never_begun() -> None:
    async def scenario() -> None:
        async with bench() as made:
            first = asyncio.create_task(made.request())
            await made.until_begun()
            gone = asyncio.Event()

            async def leave() -> None:
                await gone.wait()

            second = asyncio.create_task(made.request(made.quick, leave))
            await asyncio.sleep(0.05)
            gone.set()
            with pytest.raises(CallerGone):
                await second
            made.go_on.set()
            assert await first == "read"
            assert made.stages == ["decode", "inference"]
            assert made.dropped("client_gone", "decode") == 1

    asyncio.run(scenario())


def test_work_whose_client_goes_while_it_is_decoded_is_not_inferred() -> None:
    async def scenario() -> None:
        async with bench() as made:

            async def leave() -> None:
                await made.until_begun()

            with pytest.raises(CallerGone):
                await made.request(disconnected=leave)
            made.go_on.set()
            await made.until_idle()
            assert made.stages == ["decode", "quick"]
            assert made.dropped("client_gone", "inference") == 1

    asyncio.run(scenario())


def test_work_whose_deadline_passes_while_it_waits_is_never_begun() -> None:
    async def scenario() -> None:
        async with bench(deadline_s=0.3) as made:
            requests = [made.request(), made.request(made.quick)]
            begun_s = time.monotonic()
            late = await asyncio.gather(*requests, return_exceptions=True)
            assert 0.25 < time.monotonic() - begun_s < 2
            assert [type(error) for error in late] == [DeadlineExceeded, DeadlineExceeded]
            assert made.stages == ["decode"]
            assert made.dropped("deadline", "decode") == 1
            made.go_on.set()
            await made.until_idle()
            assert made.stages == ["decode", "quick"]  # the one that until_idle asked for
            assert made.dropped("deadline", "inference") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", ["while it waits", "while it runs"])
def test_a_cancelled_request_leaves_nothing_behind(cancelled: str) -> None:
    async def scenario() -> None:
        async with bench() as made:
            tasks = [asyncio.create_task(made.request()) for _ in range(2)]
            await made.until_begun()
            task = tasks[cancelled == "while it waits"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            made.go_on.set()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


def test_failed_work_leaves_nothing_behind() -> None:
    def fail(*, check: Check) -> str:
        check()
        raise ValueError(1)

    async def scenario() -> None:
        async with bench() as made:
            for _ in range(3):
                with pytest.raises(ValueError, match="1"):
                    await made.request(fail)

    asyncio.run(scenario())


def test_bytes_that_came_take_room_and_bytes_that_were_declared_do_not() -> None:
    async def scenario() -> None:
        async with bench(max_held_bytes=100) as made:
            admission = made.admission
            with admission.admit(90, stay) as slow, admission.admit(90, stay) as quick:
                admission.hold(slow, 10)
                admission.hold(quick, 90)
                with pytest.raises(Overloaded):
                    admission.hold(slow, 1)
                with pytest.raises(Overloaded), admission.admit(1, stay):
                    pass

    asyncio.run(scenario())


def test_a_body_over_all_that_may_be_held_is_held_alone() -> None:
    async def scenario() -> None:
        async with bench(max_held_bytes=100) as made:
            with made.admission.admit(101, stay) as claim:
                made.admission.hold(claim, 60)
                made.admission.hold(claim, 41)
            with made.admission.admit(1, stay) as claim:
                made.admission.hold(claim, 1)
                with pytest.raises(Overloaded), made.admission.admit(100, stay):
                    pass

    asyncio.run(scenario())


def test_no_more_work_runs_at_once_than_there_are_threads() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work(*, check: Check) -> int:
        nonlocal running, most
        check()
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return threading.get_ident()

    async def scenario() -> set[int]:
        admission = Admission(2, 10, 100, Metrics())
        claim = Claim(stay)
        try:
            return set(await asyncio.gather(*(admission.run(work, claim) for _ in range(8))))
        finally:
            claim.close()
            admission.close()

    threads = asyncio.run(scenario())
    assert most == 2
    assert len(threads) == 2
    assert threading.get_ident() not in threads
