"""app.access.rates: buckets that several processes share."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.access import rates
from app.access.caller import Rate
from app.access.rates import RateTable


@pytest.fixture
def table() -> Iterator[RateTable]:
    table = RateTable()
    yield table
    table.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds that a test moves on."""
    now = [10**15]
    monkeypatch.setattr(rates.time, "monotonic_ns", lambda: now[0])
    return now


def test_a_burst_then_one_a_step(table: RateTable, clock: list[int]) -> None:
    rate = Rate(per_s=4, burst=3)
    assert [table.take("a", rate) for _ in range(4)] == [0, 0, 0, 0.25]
    clock[0] += 250_000_000
    assert [table.take("a", rate) for _ in range(2)] == [0, 0.25]


def test_a_refusal_is_not_counted(table: RateTable, clock: list[int]) -> None:
    rate = Rate(per_s=1, burst=1)
    assert table.take("a", rate) == 0
    assert [table.take("a", rate) for _ in range(5)] == [1.0] * 5
    clock[0] += 1_000_000_000
    assert table.take("a", rate) == 0


def test_a_bucket_fills_no_further_than_its_burst(table: RateTable, clock: list[int]) -> None:
    rate = Rate(per_s=10, burst=2)
    clock[0] += 3600 * 10**9
    assert [table.take("a", rate) > 0 for _ in range(4)] == [False, False, True, True]


def test_less_than_one_a_second(table: RateTable, clock: list[int]) -> None:
    rate = Rate(per_s=0.1, burst=1)
    assert [table.take("a", rate), table.take("a", rate)] == [0, 10.0]
    clock[0] += 9_999_999_999
    assert 0 < table.take("a", rate) < 1e-8


def test_each_account_has_its_own_bucket(table: RateTable, clock: list[int]) -> None:  # noqa: ARG001
    rate = Rate(per_s=1, burst=1)
    assert table.take("a", rate) == 0
    assert table.take("b", rate) == 0
    assert table.take("a", rate) == 1.0


def test_more_accounts_than_places_are_never_counted_as_less(
    table: RateTable, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 accounts in a row of 8 places each gets its one request at the most, and some do."""
    monkeypatch.setattr(rates, "_ROWS", 1)
    rate = Rate(per_s=1, burst=1)
    taken = [sum(table.take(f"a{i}", rate) == 0 for i in range(100)) for _ in range(2)]
    assert taken[0] >= 8
    assert taken[1] == 0
    clock[0] += 10**9 + 1
    assert table.take("new", rate) == 0


def test_four_processes_together_get_what_one_would(table: RateTable) -> None:
    rate = Rate(per_s=500, burst=50)
    seconds = 1.0
    fork = multiprocessing.get_context("fork")
    counts: Any = fork.Queue()

    def ask() -> None:
        taken, until_s = 0, time.monotonic() + seconds
        while time.monotonic() < until_s:
            taken += table.take("a", rate) == 0
        counts.put(taken)

    begun_s = time.monotonic()
    processes = [fork.Process(target=ask) for _ in range(4)]
    for process in processes:
        process.start()
    total = sum(counts.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    took_s = time.monotonic() - begun_s
    assert total <= 50 + 500 * took_s + 1
    assert total >= 0.97 * (50 + 500 * seconds)


def test_not_one_request_more_than_the_burst_slips_through_between_processes(
    table: RateTable,
) -> None:
    rate = Rate(per_s=0.001, burst=40_000)
    fork = multiprocessing.get_context("fork")
    counts: Any = fork.Queue()

    def ask() -> None:
        taken = 0
        while table.take("a", rate) == 0:
            taken += 1
        counts.put(taken)

    processes = [fork.Process(target=ask) for _ in range(4)]
    for process in processes:
        process.start()
    assert sum(counts.get(timeout=60) for _ in processes) == 40_000
    for process in processes:
        process.join()


def test_a_process_that_is_killed_within_the_lock_keeps_nobody_out(table: RateTable) -> None:
    rate = Rate(per_s=1e6, burst=10)
    fork = multiprocessing.get_context("fork")

    def ask() -> None:
        while True:
            table.take("a", rate)

    for _ in range(20):
        process = fork.Process(target=ask)
        process.start()
        time.sleep(0.02)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert table.take("a", rate) < 1


@pytest.mark.parametrize("rate", [Rate(1e-300, 1), Rate(1e-5, 1_000_000)])
def test_a_rate_of_next_to_nothing_overflows_no_cell(table: RateTable, rate: Rate) -> None:
    waits = [table.take("a", rate) for _ in range(3)]
    assert waits[0] == 0
    if rate.burst == 1:
        assert waits[1] == pytest.approx(1e6, rel=1e-3)  # twelve days, and no more


def test_a_burst_of_years_can_be_used_up(table: RateTable) -> None:
    rate = Rate(per_s=1e-6, burst=1_000_000)
    waits = [table.take("a", rate) for _ in range(2400)]
    assert waits[0] == 0
    assert waits[-1] > 0  # 2^61 ns hold 2,305 of them
