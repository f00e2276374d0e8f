"""Admission: places are counted, and given back whatever happens."""

import asyncio
import threading

import pytest

from app.admission import Admission
from app.errors import Overloaded


@pytest.mark.parametrize(
    ("places", "held_bytes", "bodies"),
    [pytest.param(2, 100, (1, 1), id="places"), pytest.param(10, 100, (60, 40), id="bytes")],
)
def test_the_last_place_and_the_last_byte_are_given_and_no_more(
    places: int, held_bytes: int, bodies: tuple[int, int]
) -> None:
    async def scenario() -> None:
        admission = Admission(max_in_flight=places, max_held_bytes=held_bytes, threads=1)
        async with admission.admit(bodies[0]), admission.admit(bodies[1]):
            with pytest.raises(Overloaded):
                async with admission.admit(1):
                    pass
        async with admission.admit(1):
            pass

    asyncio.run(scenario())


def test_a_body_over_all_that_may_be_held_is_admitted_alone() -> None:
    async def scenario() -> None:
        admission = Admission(max_in_flight=10, max_held_bytes=100, threads=1)
        async with admission.admit(101):
            pass
        async with admission.admit(1):
            with pytest.raises(Overloaded):
                async with admission.admit(100):
                    pass

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError])
def test_a_place_comes_back_from_failure_and_cancellation(failure: type[BaseException]) -> None:
    async def scenario() -> None:
        admission = Admission(max_in_flight=1, max_held_bytes=100, threads=1)
        for _ in range(3):
            with pytest.raises(failure):
                async with admission.admit(1):
                    raise failure

    asyncio.run(scenario())


def test_no_more_work_runs_at_once_than_there_are_threads() -> None:
    running, most = 0, 0
    lock = threading.Lock()
    pause = threading.Event()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pause.wait(0.02)
        with lock:
            running -= 1
        return threading.get_ident()

    async def scenario() -> set[int]:
        admission = Admission(max_in_flight=10, max_held_bytes=100, threads=2)
        try:
            return set(await asyncio.gather(*(admission.run(work) for _ in range(8))))
        finally:
            admission.close()

    threads = asyncio.run(scenario())
    assert most == 2
    assert len(threads) == 2
    assert threading.get_ident() not in threads
