"""benchmarks.capacity: the arrivals that are sent are random, and typical; the middle is told."""

import numpy as np
import pytest

from benchmarks.capacity import LOADS, SETUPS, Setup, middle_of, typical_arrivals


@pytest.mark.parametrize("load", [LOADS[0], LOADS[-1]])
@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.formula)
def test_arrivals_wait_as_the_formula_says_if_they_are_played_out(
    setup: Setup, load: float
) -> None:
    service_s, count = 0.01, int(20 * load * setup.servers / 0.01)
    arrivals = typical_arrivals(setup, load, service_s, count)
    queue = setup.queue(load * setup.servers / service_s, service_s)
    waits = setup.replay(arrivals, service_s)
    assert waits.mean() == pytest.approx(queue.mean_wait_s, rel=0.06)
    assert np.quantile(waits, 0.95) == pytest.approx(queue.wait_quantile_s(0.95), rel=0.06)
    gaps = np.diff(arrivals)
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.12)  # exponential, as Poisson's are


def test_arrivals_are_the_same_each_time() -> None:
    assert typical_arrivals(SETUPS[0], 0.5, 0.01, 100) == typical_arrivals(
        SETUPS[0], 0.5, 0.01, 100
    )


def test_of_several_the_middle_one_is_told_with_the_errors_of_all() -> None:
    points = [
        {"mean_ms": ms, "mean_error": error, "p95_error": -error, "failed": 1}
        for ms, error in ((1.0, 0.5), (2.0, -0.1), (3.0, 0.2))
    ]
    assert middle_of(points) == {
        "mean_ms": 3.0,
        "mean_error": 0.2,
        "p95_error": -0.2,
        "mean_errors": [0.5, -0.1, 0.2],
        "p95_errors": [-0.5, 0.1, -0.2],
        "failed": 3,
    }
