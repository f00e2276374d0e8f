"""The table by which workers share connections: who may take one."""

import os
import time

import pytest

from app.server.balance import ConnectionTable, Stage


def table_of(*connections: int) -> ConnectionTable:
    """Return the table of workers that accept and have so many connections."""
    table = ConnectionTable(len(connections))
    for worker, count in enumerate(connections):
        table.set_stage(worker, Stage.ACCEPTING)
        table.set_connections(worker, count)
    return table


@pytest.mark.parametrize(
    ("connections", "may"),
    [
        ((0,), [True]),
        ((7,), [True]),
        ((0, 0), [True, True]),
        ((3, 2), [False, True]),
        ((2, 3), [True, False]),
        ((5, 5, 4), [False, False, True]),
        ((5, 4, 4), [False, True, True]),
    ],
)
def test_who_has_fewest_may_accept(connections: tuple[int, ...], may: list[bool]) -> None:
    table = table_of(*connections)
    assert [table.may_accept(worker) for worker in range(len(connections))] == may


@pytest.mark.parametrize("stage", [Stage.LOADING, Stage.STOPPED])
def test_a_worker_that_does_not_accept_is_not_waited_for(stage: Stage) -> None:
    table = table_of(0, 5)
    table.set_stage(0, stage)
    assert table.may_accept(1)


def test_a_worker_whose_loop_gives_no_sign_is_not_waited_for() -> None:
    table = table_of(0, 5)
    assert not table.may_accept(1)
    time.sleep(0.55)
    assert table.may_accept(1)
    table.give_sign(0)
    assert not table.may_accept(1)


def test_a_worker_that_is_replaced_begins_with_none() -> None:
    table = table_of(9, 4)
    table.set_stage(0, Stage.LOADING)
    assert table.may_accept(1)
    table.set_stage(0, Stage.ACCEPTING)
    assert table.may_accept(0)
    assert not table.may_accept(1)


def test_the_port_is_opened_once() -> None:
    table = ConnectionTable(2)
    assert not table.listening
    table.open_port()
    assert table.listening
    assert [table.stage(worker) for worker in range(2)] == [Stage.LOADING] * 2


def test_forked_processes_see_one_table() -> None:
    table = table_of(0, 0)
    child = os.fork()
    if child == 0:
        table.set_connections(0, 3)
        table.open_port()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not table.may_accept(0)
    assert table.listening


def test_connections_that_only_come_are_never_more_uneven_than_by_one() -> None:
    table = table_of(0, 0, 0)
    counts = [0, 0, 0]
    for number in range(100):
        worker = next(w for w in (number % 3, 0, 1, 2) if table.may_accept(w))
        counts[worker] += 1
        table.set_connections(worker, counts[worker])
        assert max(counts) - min(counts) <= 1


def test_how_old_a_sign_is_can_be_seen() -> None:
    table = ConnectionTable(2)
    table.give_sign(1)
    assert 0 <= table.sign_age_s(1) < 1
    time.sleep(0.05)
    assert table.sign_age_s(1) >= 0.05
