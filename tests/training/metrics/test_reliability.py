"""training.metrics.reliability: calibration, by numbers worked out by hand and by simulation."""

from math import pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.metrics.test_metrics import RANKED, RANKED_TRUTH, draw_answers
from training.metrics.reliability import (
    bin_by_rank,
    brier,
    can_calibrate,
    expected_calibration_error,
    simulate_calibration_error,
)


def confident(*confidences: float) -> NDArray[np.float32]:
    """Call label 0 with each confidence."""
    return np.array([[c, *[(1 - c) / 3] * 3] for c in confidences], np.float32)


def test_brier_is_the_mean_squared_distance_from_the_truth() -> None:
    rows = [
        0.6**2 + 0.3**2 + 0.2**2 + 0.1**2,
        0.5**2 + 0.7**2 + 0.1**2 + 0.1**2,
        0.1**2 + 0.2**2 + 0.4**2 + 0.1**2,
        0.3**2 + 0.1**2 + 0.3**2 + 0.7**2,
    ]
    assert brier(RANKED_TRUTH, RANKED) == pytest.approx(sum(rows) / 4)


@pytest.mark.parametrize(("label", "expected"), [(0, 0), (3, 2)])
def test_brier_runs_from_0_to_2(label: int, expected: float) -> None:
    assert brier(np.array([label]), confident(1.0)) == expected


def test_bins_hold_as_many_images_each_the_least_confident_first() -> None:
    confidence = np.random.default_rng(0).permutation(np.arange(31) / 31)
    bins = bin_by_rank(confidence)
    assert [len(rows) for rows in bins] == [3] + [2] * 14
    ranked = confidence[np.concatenate(bins)]
    assert (np.diff(ranked) > 0).all()


def test_ece_is_the_gap_of_confidence_and_accuracy_weighed_over_the_bins() -> None:
    # 15 bins of two: the last one's answers are wrong, all others' right.
    labels = np.array([0] * 28 + [1] * 2)
    answers = confident(*[0.8] * 28, 0.9, 0.9)
    assert expected_calibration_error(labels, answers) == pytest.approx(
        (28 * (1 - 0.8) + 2 * 0.9) / 30
    )


def test_within_a_bin_right_and_wrong_make_up_for_each_other_between_bins_they_do_not() -> None:
    answers = confident(*[0.75] * 60)  # 15 bins of four
    mixed = np.tile([0, 0, 0, 1], 15)
    assert expected_calibration_error(mixed, answers) == pytest.approx(0, abs=1e-6)
    apart = np.sort(mixed)  # 11 bins all right, one with one right, three with none
    expected = (11 * (1 - 0.75) + (0.75 - 1 / 4) + 3 * 0.75) / 15
    assert expected_calibration_error(apart, answers) == pytest.approx(expected)


@pytest.mark.parametrize(("label", "expected"), [(0, 0), (1, 1)])
def test_one_answer_is_a_bin_of_its_own(label: int, expected: float) -> None:
    assert expected_calibration_error(np.array([label]), confident(1.0)) == expected


def test_ece_by_chance_of_one_answer_is_its_expectation() -> None:
    # Right 7 times in 10, then 0.3 off; else 0.7 off.
    by_chance, _ = simulate_calibration_error(confident(0.7))
    assert by_chance == pytest.approx(0.7 * 0.3 + 0.3 * 0.7, abs=0.04)


@pytest.mark.parametrize("count", [600, 9600])
def test_ece_by_chance_falls_with_the_root_of_the_images(count: int) -> None:
    # The mean distance of a binomial share from its expectation, in each of 15 bins.
    expected = sqrt(2 / pi * 0.7 * 0.3 / (count / 15))
    by_chance, _ = simulate_calibration_error(confident(*[0.7] * count))
    assert by_chance == pytest.approx(expected, rel=0.15)


def test_ece_by_chance_is_what_calibrated_answers_show() -> None:
    _, probabilities = draw_answers(200)
    generator = np.random.default_rng(5)
    seen = [
        expected_calibration_error(
            np.array(
                [generator.choice(4, p=row / row.sum()) for row in probabilities.astype(float)]
            ),
            probabilities,
        )
        for _ in range(40)
    ]
    by_chance, by_chance_95 = simulate_calibration_error(probabilities)
    assert by_chance == pytest.approx(float(np.mean(seen)), rel=0.1)
    assert by_chance_95 == pytest.approx(float(np.percentile(seen, 95)), rel=0.15)
    assert by_chance_95 > by_chance > 0.02


def test_ece_by_chance_of_certain_answers_is_0() -> None:
    assert simulate_calibration_error(confident(1.0, 1.0)) == (0, 0)


@pytest.mark.parametrize(
    ("images", "patients", "enough"),
    [((25, 25, 25, 25), 20, True), ((25, 25, 25, 24), 20, False), ((25, 25, 25, 25), 19, False),
     ((90, 90, 90, 19), 90, False), ((90, 90, 90, 0), 90, False)],
)  # fmt: skip
def test_calibration_needs_100_images_and_20_patients_of_each_label(
    images: tuple[int, ...], patients: int, enough: bool
) -> None:
    labels = np.repeat(np.arange(4), images)
    owners = [
        f"{label}-{number % patients}" for label in range(4) for number in range(images[label])
    ]
    assert can_calibrate(labels, owners) is enough
