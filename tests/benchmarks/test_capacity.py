"""benchmarks.capacity: the arrivals that are sent are random, and typical."""

import numpy as np
import pytest

from benchmarks.capacity import LOADS, typical_arrivals
from benchmarks.queueing import ConstantService, replay


@pytest.mark.parametrize(("servers", "load"), [(1, LOADS[0]), (1, LOADS[-1]), (2, LOADS[-1])])
def test_arrivals_wait_as_the_formula_says_if_they_are_played_out(
    servers: int, load: float
) -> None:
    service_s, count = 0.01, int(20 * load * servers / 0.01)
    arrivals = typical_arrivals(load, service_s, servers, count)
    queue = ConstantService(servers, load * servers / service_s, service_s)
    waits = replay(arrivals, service_s, servers)
    assert waits.mean() == pytest.approx(queue.mean_wait_s, rel=0.06)
    assert np.quantile(waits, 0.95) == pytest.approx(queue.wait_quantile_s(0.95), rel=0.06)
    gaps = np.diff(arrivals)
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.12)  # exponential, as Poisson's are


def test_arrivals_are_the_same_each_time() -> None:
    assert typical_arrivals(0.5, 0.01, 1, 100) == typical_arrivals(0.5, 0.01, 1, 100)
