"""training.metrics.weighting: groups count alike; exact bounds by patient."""

import numpy as np
import pytest
from scipy.stats import binom

from training.metrics.weighting import (
    count_effective,
    count_step_by_step,
    upper_bound,
    weigh_evenly,
    weighted_interval,
)


def test_groups_weigh_alike_however_many_images_they_have() -> None:
    weights = weigh_evenly(["a"] * 100 + ["b"] * 50)
    assert weights[:100].sum() == pytest.approx(0.5)
    assert weights[100:].tolist() == pytest.approx([0.01] * 50)


def test_a_group_of_a_few_images_weighs_less() -> None:
    weights = weigh_evenly(["a"] * 100 + ["b"] * 5)
    # 5 of 50 images: a tenth of what "a" weighs.
    assert weights[100:].sum() == pytest.approx(0.1 * weights[:100].sum())
    assert weights.sum() == pytest.approx(1)


def test_where_every_group_is_small_they_weigh_alike_still() -> None:
    weights = weigh_evenly(["a", "a", "a", "b"])
    assert weights[3] == pytest.approx(weights[0])  # of at most 3: a group of 1 weighs a third


def test_the_effective_number_is_that_of_patients_by_hand() -> None:
    weights = np.array([0.1, 0.1, 0.2, 0.6])
    whole = np.array([True, True, True, False])
    # Patients weigh 0.2 and 0.2: (0.4)^2 / (0.04 + 0.04) = 2.
    assert count_effective(whole, weights, ["p", "p", "q", "q"]) == pytest.approx(2)
    assert count_effective(np.zeros(4, bool), weights, list("abcd")) == 0


def test_step_by_step_counts_are_those_of_each_step() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 8, 200)  # 6 and 7: at none of six steps
    weights = generator.random(200)
    patients = [str(name) for name in generator.integers(0, 60, 200)]
    counts = count_step_by_step(first, 6, weights, patients)
    expected = [count_effective(first <= step, weights, patients) for step in range(6)]
    assert counts.tolist() == pytest.approx(expected)


def test_before_anything_comes_nothing_is_counted() -> None:
    counts = count_step_by_step(np.array([2, 2]), 3, np.ones(2), ["a", "b"])
    assert counts.tolist() == [0, 0, 2]


@pytest.mark.parametrize(("wrong", "count"), [(0, 59), (1, 93), (2, 124)])
def test_the_bound_is_clopper_and_pearsons(wrong: int, count: int) -> None:
    bound = float(upper_bound(wrong / count, count, 0.95))
    # At the bound, so few or fewer are seen one time in 20.
    assert binom.cdf(wrong, count, bound) == pytest.approx(0.05)
    assert bound < 0.05
    assert float(upper_bound(wrong / (count - 1), count - 1, 0.95)) > 0.05


def test_nothing_or_only_wrong_ones_bound_nothing() -> None:
    assert upper_bound(np.array([0.0, 1.0]), np.array([0.0, 8.0]), 0.95).tolist() == [1, 1]


def test_a_weighted_share_and_its_interval_by_hand() -> None:
    weights = weigh_evenly(["a"] * 200 + ["b"] * 50)
    part = np.zeros(250, bool)
    part[200:225] = True  # half of b, none of a: a quarter
    whole = np.ones(250, bool)
    patients = [str(row) for row in range(250)]
    interval = weighted_interval(part, whole, weights, patients)
    assert interval.value == pytest.approx(0.25)
    # As sure as 1 / (0.25 / 200 + 0.25 / 50) = 160 images.
    assert interval.high == pytest.approx(float(upper_bound(0.25, 160, 0.975)))
    assert interval.low == pytest.approx(1 - float(upper_bound(0.75, 160, 0.975)))


def test_of_nothing_a_share_may_be_anything() -> None:
    nothing = np.zeros(3, bool)
    interval = weighted_interval(nothing, nothing, np.ones(3), ["a", "b", "c"])
    assert (interval.value, interval.low, interval.high) == (0, 0, 1)
