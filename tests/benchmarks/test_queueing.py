"""Queues of Poisson arrivals: values by hand, textbooks' tables, and the queue played out."""

import math

import numpy as np
import pytest

from benchmarks.queueing import (
    ConstantService,
    Overload,
    SharedService,
    erlang_c,
    exponential_wait_s,
    replay,
    replay_shared,
)


@pytest.mark.parametrize(
    ("servers", "offered", "waits"),
    [
        (1, 0.7, 0.7),  # one server: the share of time that it is busy
        (2, 1.0, 1 / 3),  # (1/2 * 2) / (1 + 1 + 1)
        (3, 2.0, 4 / 9),  # (8/6 * 3) / (1 + 2 + 2 + 4)
        (10, 8.0, 0.4092),  # tables of Erlang C
    ],
)
def test_the_chance_to_wait_is_erlangs(servers: int, offered: float, waits: float) -> None:
    assert erlang_c(servers, offered) == pytest.approx(waits, abs=5e-5)


def test_the_mean_wait_of_exponential_service_is_erlangs() -> None:
    # One server at 0.8: 0.8 / (1 - 0.8) service times. Two with one erlang: 1/3 / (2 - 1).
    assert exponential_wait_s(1, 80, 0.01) == pytest.approx(0.04)
    assert exponential_wait_s(2, 100, 0.01) == pytest.approx(0.01 / 3)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.85, 0.95])
def test_one_server_of_constant_service_is_pollaczeks_and_khinchines(load: float) -> None:
    queue = ConstantService(1, load * 100, 0.01)
    assert queue.mean_wait_s == pytest.approx(load * 0.01 / (2 * (1 - load)), rel=1e-5)
    assert queue.waits_at_most(0) == pytest.approx(1 - load)
    # Erlang's own formula, within the first service time: (1 - load) e^(load x / service).
    assert queue.waits_at_most(0.006) == pytest.approx((1 - load) * math.exp(load * 0.6))
    # Up to two: less what had come by then.
    second = (1 - load) * (math.exp(load * 1.5) - load * 0.5 * math.exp(load * 0.5))
    assert queue.waits_at_most(0.015) == pytest.approx(second)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.5), (2, 0.85), (4, 0.7), (16, 0.9)])
def test_several_servers_wait_as_long_as_when_the_queue_is_played_out(
    servers: int, load: float
) -> None:
    rate_per_s = load * servers / 0.01
    queue = ConstantService(servers, rate_per_s, 0.01)
    gaps = np.random.default_rng(7).exponential(1 / rate_per_s, 200_000)
    waits = replay(np.cumsum(gaps).tolist(), 0.01, servers)
    assert queue.mean_wait_s == pytest.approx(waits.mean(), rel=0.06)
    assert queue.wait_quantile_s(0.95) == pytest.approx(np.quantile(waits, 0.95), rel=0.06)
    assert queue.waits_at_most(0) == pytest.approx(np.mean(waits < 1e-12), abs=0.01)


def test_arrivals_that_are_played_out_wait_by_hand() -> None:
    assert replay([0, 1, 1, 9], 3, 1).tolist() == [0, 2, 5, 0]
    assert replay([0, 1, 1, 9], 3, 2).tolist() == [0, 0, 2, 0]


def test_arrivals_that_share_servers_take_longer_by_hand() -> None:
    # The second comes after 1 of 3: both go on at half speed until 5, then it has 1 left.
    assert replay_shared([0, 1, 9], 3, 1).tolist() == pytest.approx([2, 2, 0])
    # On two servers two don't hinder each other; from 2 on the three go on at two thirds: the first
    # two have 1 left, which takes 1.5, the third then has 2.
    assert replay_shared([0, 0, 2], 3, 2).tolist() == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 0.3), (2, 0.8), (4, 0.7)])
def test_shared_servers_take_as_long_on_average_as_those_of_exponential_service(
    servers: int, load: float
) -> None:
    rate_per_s = load * servers / 0.01
    gaps = np.random.default_rng(3).exponential(1 / rate_per_s, 200_000)
    waits = replay_shared(np.cumsum(gaps).tolist(), 0.01, servers)
    queue = SharedService(servers, rate_per_s, 0.01)
    assert queue.mean_wait_s == pytest.approx(waits.mean(), rel=0.06)
    assert queue.wait_quantile_s(0.95) == pytest.approx(np.quantile(waits, 0.95), rel=0.1)
    assert waits.min() > -1e-9


def test_one_shared_server_takes_as_long_as_one_that_serves_exponential_times() -> None:
    assert SharedService(1, 80, 0.01).mean_wait_s == pytest.approx(0.04)  # 0.01 / 0.2 - 0.01


def test_there_are_as_many_as_little_says() -> None:
    queue = ConstantService(1, 80, 0.01)
    assert queue.mean_beyond(0) == pytest.approx(0.8 + 80 * queue.mean_wait_s)  # served, waiting
    assert queue.mean_beyond(1) == pytest.approx(1.6)  # 0.8^2 / (2 * 0.2)


def test_as_many_are_there_beyond_some_places_as_when_shared_servers_are_played_out() -> None:
    # Erlang's chance to wait, 1/3, halved with each place more, and as many again come behind.
    assert SharedService(2, 100, 0.01).mean_beyond(2) == pytest.approx(1 / 3)
    assert SharedService(2, 100, 0.01).mean_beyond(4) == pytest.approx(1 / 12)
    queue = SharedService(2, 150, 0.01)
    assert queue.mean_beyond(2) == pytest.approx(150 * queue.mean_wait_s)  # Little
    arrivals = np.cumsum(np.random.default_rng(5).exponential(1 / 150, 400_000))
    ends = arrivals + 0.01 + replay_shared(arrivals.tolist(), 0.01, 2)  # in the order they came
    there = np.arange(len(arrivals)) - np.searchsorted(ends, arrivals)
    assert queue.mean_beyond(4) == pytest.approx(np.maximum(0, there - 4).mean(), rel=0.06)


def test_a_quantile_is_0_where_so_many_do_not_wait() -> None:
    queue = ConstantService(1, 3, 0.01)
    assert queue.wait_quantile_s(0.96) == 0
    assert queue.wait_quantile_s(0.99) > 0


@pytest.mark.parametrize("servers", [1, 2])
def test_more_than_is_served_has_no_mean_wait(servers: int) -> None:
    with pytest.raises(Overload):
        erlang_c(servers, servers)
    with pytest.raises(Overload):
        ConstantService(servers, 100 * servers, 0.01)
    with pytest.raises(Overload):
        SharedService(servers, 100 * servers, 0.01)
