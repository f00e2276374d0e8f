"""app.model.measured.binomial: exact limits, against values worked out by hand and SciPy's."""

import math

import pytest

from app.model.measured.binomial import beta_share, exact_limits


def test_without_a_hit_the_limits_are_known_in_closed_form() -> None:
    for count in (1, 10, 72, 1000):
        assert exact_limits(0, count) == (0.0, pytest.approx(1 - 0.025 ** (1 / count)))
        assert exact_limits(count, count) == (pytest.approx(0.025 ** (1 / count)), 1.0)


def test_seventy_two_without_a_hit_are_the_fewest_whose_limit_is_within_five_percent() -> None:
    assert exact_limits(0, 71)[1] > 0.05 > exact_limits(0, 72)[1]


def test_each_limit_leaves_its_tail_of_the_binomial_distribution() -> None:
    hits, count, tail = 7, 40, 0.01
    low, high = exact_limits(hits, count, tail)

    def chance(rate: float, of: range) -> float:
        return sum(math.comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in of)

    assert chance(low, range(hits, count + 1)) == pytest.approx(tail)
    assert chance(high, range(hits + 1)) == pytest.approx(tail)


def test_of_nothing_nothing_is_known() -> None:
    assert exact_limits(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "count"), [(-1, 4), (5, 4)])
def test_what_is_no_rate_is_refused(hits: float, count: float) -> None:
    with pytest.raises(ValueError, match="hits of 4"):
        exact_limits(hits, count)


def test_the_beta_distribution_is_symmetric_and_ends_at_its_ends() -> None:
    assert [beta_share(x, 3, 5) for x in (-1, 0, 1, 2)] == [0, 0, 1, 1]
    assert beta_share(0.5, 4, 4) == pytest.approx(0.5)
    assert beta_share(0.3, 1, 1) == pytest.approx(0.3)


@pytest.mark.parametrize("count", [1, 2, 10, 37.5, 300, 100_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
def test_the_limits_are_those_of_scipy(count: float, share: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    hits = share * count
    low, high = exact_limits(hits, count)
    assert low == pytest.approx(
        0.0 if share == 0 else stats.beta.ppf(0.025, hits, count - hits + 1), abs=1e-10
    )
    assert high == pytest.approx(
        1.0 if share == 1 else stats.beta.ppf(0.975, hits + 1, count - hits), abs=1e-10
    )
