"""training.metrics.intervals: exact limits by hand, and how often intervals hold the truth.

`python -m tests.training.metrics.test_intervals` prints the tables of docs/training.md.
"""

import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from app.model.measured.figures import Interval
from training.metrics import bootstrap
from training.metrics.bootstrap import auroc, draw_patients, share
from training.metrics.intervals import (
    auroc_interval,
    combine,
    count_patients,
    mean_interval,
    percentile_interval,
    rate_interval,
)


def rate(right: int, count: int, images: int = 1) -> Interval:
    """Return the interval of so many patients right, all of whose images are alike."""
    part = np.repeat(np.arange(count) < right, images)
    patients = np.repeat([str(number) for number in range(count)], images)
    return rate_interval(part, np.ones(len(part), bool), patients.tolist())


# ---------------------------------------------------------------- by hand


def test_all_of_63_is_from_0943() -> None:
    assert (rate(63, 63).value, rate(63, 63).high) == (1, 1)
    assert rate(63, 63).low == pytest.approx(0.025 ** (1 / 63))
    assert rate(63, 63).low == pytest.approx(0.943, abs=5e-4)


def test_none_of_63_is_to_0057() -> None:
    assert (rate(0, 63).value, rate(0, 63).low) == (0, 0)
    assert rate(0, 63).high == pytest.approx(0.057, abs=5e-4)


@pytest.mark.parametrize("right", [0, 1, 5, 20, 39, 40])
def test_with_one_image_a_patient_limits_are_exact(right: int) -> None:
    exact = binomtest(right, 40).proportion_ci()
    found = rate(right, 40)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("right", [20, 30, 39, 40])
def test_more_images_of_one_kind_a_patient_tell_nothing_more(right: int) -> None:
    once, thrice = rate(right, 40), rate(right, 40, images=3)
    assert thrice.low <= once.low + 1e-9
    assert thrice.high >= once.high - 1e-9
    assert thrice.high - thrice.low < 1.05 * (once.high - once.low)


def test_images_of_a_patient_that_differ_tell_more() -> None:
    part = np.tile([True, True, False], 40)
    patients = np.repeat([str(number) for number in range(40)], 3).tolist()
    found = rate_interval(part, np.ones(120, bool), patients)
    assert 0.17 < found.high - found.low < 0.19  # of 120 images; of 40 it were 0.31


def test_a_patient_with_most_of_the_images_is_one_patient() -> None:
    assert count_patients(np.array([1.0, 1, 1, 1])) == 4
    assert count_patients(np.array([97.0, 1, 1, 1])) == pytest.approx(100**2 / (97**2 + 3))


def test_only_what_is_in_the_whole_counts() -> None:
    part, whole = np.array([True, True, False, True]), np.array([True, True, False, False])
    exact = binomtest(2, 2).proportion_ci()
    found = rate_interval(part, whole, list("abcd"))
    assert (found.low, found.value, found.high) == pytest.approx((exact.low, 1, 1))


def test_of_nothing_nothing_is_known() -> None:
    nothing = np.zeros(3, bool)
    assert rate_interval(nothing, nothing, list("abc")) == Interval(value=0, low=0, high=1)


def rank(sick: int, well: int) -> Interval:
    """Return the interval where every one of the sick is ranked above the well."""
    positive = np.arange(sick + well) < sick
    patients = [str(number) for number in range(sick + well)]
    weights = draw_patients(positive.astype(np.int64), patients, 0)
    figures = auroc(positive, positive.astype(np.float64), weights)
    assert set(figures) == {1.0}
    return auroc_interval(positive, figures, patients)


def test_an_area_of_1_has_a_width_by_the_rarer_kind() -> None:
    found = rank(63, 63)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.969, abs=1e-3)  # 1 - 1.96^2 * (1 + 62 / 2) / 63^2
    assert rank(5, 200).low == pytest.approx(rank(200, 5).low)
    assert rank(5, 200).low < 0.87


def test_square_and_add() -> None:
    parts = [Interval(value=0.8, low=0.5, high=0.9), Interval(value=0.6, low=0.2, high=0.7)]
    apart = [np.array([0, 1, -1, 1, -1.0]), np.array([0, 1, 1, -1, -1.0])]
    found = mean_interval(parts, apart)
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(0.7 - 0.5 / 2)  # 0.3 and 0.4 make 0.5
    assert found.high == pytest.approx(0.7 + np.sqrt(0.02) / 2)
    together = mean_interval(parts, [apart[0], apart[0]])
    assert (together.low, together.high) == pytest.approx((0.35, 0.8))
    difference = combine(parts, [1, -1], apart)
    assert difference.low == pytest.approx(0.2 - np.hypot(0.3, 0.1))
    assert difference.high == pytest.approx(0.2 + np.hypot(0.1, 0.4))


def test_a_mean_of_ones_stays_below_1() -> None:
    parts = [Interval(value=1, low=0.9, high=1)] * 4
    found = mean_interval(parts, [np.ones(50)] * 4)
    assert (found.low, found.value, found.high) == pytest.approx((0.95, 1, 1))


def test_percentiles_are_of_the_resamples() -> None:
    found = percentile_interval(np.array([7.0, *range(41)]))
    assert (found.low, found.value, found.high) == (1, 7, 39)


# ---------------------------------------------------------------- coverage


def cover_rate(share: float, patients: int, images: int, alike: float, trials: int) -> float:
    """Return how often the interval of a rate drawn by `share` holds it.

    Patients have so many images; their rates are beta, `alike` the correlation of two images.
    """
    generator = np.random.default_rng(0)
    names = np.repeat([str(number) for number in range(patients)], images).tolist()
    held = 0
    for _ in range(trials):
        own: NDArray[np.float64] = np.full(patients, share)
        if alike:
            own = generator.beta(*(kind * (1 / alike - 1) for kind in (share, 1 - share)), patients)
        part = generator.random(patients * images) < own.repeat(images)
        found = rate_interval(part, np.ones_like(part), names)
        held += found.low <= share <= found.high
    return held / trials


def cover_area(area: float, sick: int, well: int, images: int, alike: float, trials: int) -> float:
    """Return how often the interval of an area holds it; scores are normal, as far apart."""
    generator = np.random.default_rng(0)
    positive = np.repeat(np.arange(sick + well) < sick, images)
    names = np.repeat([str(number) for number in range(sick + well)], images).tolist()
    held = 0
    for trial in range(trials):
        own = generator.normal(size=sick + well).repeat(images) * np.sqrt(alike)
        noise = generator.normal(size=len(positive)) * np.sqrt(1 - alike)
        scores = own + noise + np.sqrt(2) * norm.ppf(area) * positive
        weights = draw_patients(positive.astype(np.int64), names, trial)
        found = auroc_interval(positive, auroc(positive, scores, weights), names)
        held += found.low <= area <= found.high
    return held / trials


@pytest.mark.parametrize(("images", "alike"), [(1, 0.0), (3, 0.0), (3, 0.3), (3, 0.9)])
@pytest.mark.parametrize(("share", "patients"), [(0.98, 63), (0.998, 231), (0.9, 63), (0.5, 20)])
def test_95_percent_intervals_of_rates_hold_the_truth_as_often(
    share: float, patients: int, images: int, alike: float
) -> None:
    assert cover_rate(share, patients, images, alike, trials=300) >= 0.94


@pytest.mark.parametrize(
    ("area", "sick", "well", "images", "alike"),
    [(0.999, 63, 63, 1, 0.0), (0.95, 20, 231, 1, 0.0), (0.8, 40, 40, 3, 0.3)],
)
def test_95_percent_intervals_of_areas_hold_the_truth_as_often(
    area: float, sick: int, well: int, images: int, alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 100)
    assert cover_area(area, sick, well, images, alike, trials=100) >= 0.92


@pytest.mark.parametrize(
    ("rates", "factors", "apart"),
    [
        ((0.98, 0.95, 0.9, 0.99), (0.25, 0.25, 0.25, 0.25), True),  # a balanced accuracy
        ((0.999, 0.999, 0.999, 0.999), (0.25, 0.25, 0.25, 0.25), True),
        ((0.05, 0.02), (1, -1), False),  # turned wrong less turned right, of the same images
        ((0.005, 0.005), (1, -1), False),
    ],
)
def test_95_percent_intervals_of_sums_hold_the_truth_as_often(
    rates: tuple[float, ...],
    factors: tuple[float, ...],
    apart: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 100)
    generator = np.random.default_rng(0)
    kinds = np.repeat(np.arange(len(rates)), 50) if apart else np.zeros(80, np.int64)
    patients = [str(number) for number in range(len(kinds))]
    truth = np.dot(rates, factors)
    held = []
    for trial in range(100):
        drawn = generator.random(len(kinds))
        limits = np.cumsum([0, *rates])
        weights = draw_patients(kinds, patients, trial)
        parts, figures = [], []
        for index, own in enumerate(rates):
            low = 0 if apart else limits[index]
            part = (low <= drawn) & (drawn < low + own)
            whole = kinds == index if apart else np.ones(len(kinds), bool)
            parts.append(rate_interval(part & whole, whole, patients))
            figures.append(share(part & whole, whole, weights))
        found = combine(parts, factors, figures)
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.93


def print_coverage() -> None:
    """Print the tables of docs/training.md."""

    def print_row(*cells: object) -> None:
        sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
        sys.stdout.flush()

    kinds = [(1, 0.0), (3, 0.0), (3, 0.3), (3, 0.9)]
    for drawn in (0.5, 0.9, 0.98, 0.998):
        for patients in (20, 63, 231):
            held = [cover_rate(drawn, patients, *kind, trials=2000) for kind in kinds]
            print_row(drawn, patients, *(f"{value:.3f}" for value in held))
    bootstrap._RESAMPLES = 200
    for area in (0.8, 0.95, 0.99, 0.999):
        for sick, well in ((20, 20), (63, 63), (20, 231)):
            held = [cover_area(area, sick, well, *kind, trials=500) for kind in kinds[::2]]
            print_row(area, f"{sick}, {well}", *(f"{value:.3f}" for value in held))


if __name__ == "__main__":
    print_coverage()
