"""training.metrics.paired: two models on the same images, by hand and by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.metrics.bootstrap import draw_patients
from training.metrics.metrics import macro_auroc
from training.metrics.paired import (
    compare_areas,
    compare_calibration,
    compare_rates,
    count_changes,
)
from training.metrics.reliability import expected_calibration_error

Mask = NDArray[np.bool_]


def mask(text: str) -> Mask:
    return np.array([letter == "1" for letter in text])


def answers(
    count: int, seed: int, truth: float = 2.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return labels and probabilities that lean to them."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    logits = np.random.default_rng(7).normal(0, 1, (count, 4))
    logits += truth * np.eye(4)[labels] + generator.normal(0, 0.5, (count, 4))
    shares = np.exp(logits)
    return labels, (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def test_rates_are_each_models_and_the_difference_is_the_seconds_gain() -> None:
    first, second = mask("1111000000"), mask("1100111110")
    patients = [str(row) for row in range(10)]
    weights = draw_patients(np.zeros(10, np.int64), patients, 0)
    told = compare_rates(first, second, np.ones(10, bool), patients, weights)
    assert (told.first, told.second) == (0.4, 0.7)
    assert told.difference.value == pytest.approx(0.3)
    assert told.difference.low < 0.3 < told.difference.high


def test_only_images_of_the_whole_count() -> None:
    first, second, whole = mask("110011"), mask("101100"), mask("111100")
    patients = list("abcdef")
    weights = draw_patients(np.zeros(6, np.int64), patients, 0)
    told = compare_rates(first, second, whole, patients, weights)
    assert (told.first, told.second) == (0.5, 0.75)


def test_where_nobody_differs_the_interval_still_has_a_width() -> None:
    right = np.ones(40, bool)
    patients = [str(row) for row in range(40)]
    weights = draw_patients(np.zeros(40, np.int64), patients, 0)
    told = compare_rates(right, right, right, patients, weights)
    assert told.difference.value == 0
    # Of 40 patients none is gained and none lost: the upper limit of such a share is 0.088.
    assert told.difference.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert told.difference.low == -told.difference.high


@pytest.mark.parametrize("patients", [30, 150])
def test_an_interval_holds_the_true_difference_as_often_as_it_says(patients: int) -> None:
    # A tenth of the patients is gained, a twentieth lost; three images each that are alike.
    generator = np.random.default_rng(patients)
    held = 0
    names = [str(row) for row in np.repeat(np.arange(patients), 3)]
    whole = np.ones(3 * patients, bool)
    for seed in range(60):
        of_patient = generator.choice(3, patients, p=[0.10, 0.05, 0.85])
        of_image = generator.choice(3, (patients, 3), p=[0.10, 0.05, 0.85])
        alike = generator.random((patients, 3)) < 0.3
        fate = np.where(alike, of_patient[:, np.newaxis], of_image).ravel()
        weights = draw_patients(np.zeros(len(fate), np.int64), names, seed)
        told = compare_rates(fate != 0, fate != 1, whole, names, weights)
        held += told.difference.low <= 0.05 <= told.difference.high
    assert held >= 53  # of 60; at 95 % fewer are seen 3 times in 100 000


def test_one_who_does_all_better_is_told_apart_from_chance() -> None:
    labels, worse = answers(400, 1, truth=0.5)
    _, better = answers(400, 2, truth=3.0)
    patients = [str(row // 2) for row in range(400)]
    weights = draw_patients(labels, patients, 0)
    truths = [labels == i for i in range(4)]
    told = compare_areas(truths, list(worse.T), list(better.T), patients, weights)
    assert told.first == pytest.approx(macro_auroc(labels, worse))
    assert told.second == pytest.approx(macro_auroc(labels, better))
    assert told.difference.low > 0.1
    assert told.difference.value == pytest.approx(told.second - told.first)


def test_areas_of_equal_answers_do_not_differ() -> None:
    labels, same = answers(80, 1)
    patients = [str(row) for row in range(80)]
    weights = draw_patients(labels, patients, 0)
    truths = [labels == i for i in range(4)]
    told = compare_areas(truths, list(same.T), list(same.T), patients, weights)
    assert told.difference.value == 0
    assert told.difference.low <= 0 <= told.difference.high


def test_pairing_makes_the_interval_narrower_than_two_models_on_other_patients() -> None:
    labels, first = answers(200, 1, truth=1.0)
    _, second = answers(200, 2, truth=1.0)  # most of its noise is the first's
    patients = [str(row) for row in range(200)]
    weights = draw_patients(labels, patients, 0)
    others = draw_patients(labels, patients, 1)
    truths = [labels == i for i in range(4)]
    paired = compare_areas(truths, list(first.T), list(second.T), patients, weights).difference
    once = compare_areas(truths, list(first.T), list(first.T[::-1]), patients, others).difference
    assert paired.high - paired.low < once.high - once.low


def test_calibration_errors_are_those_of_a_card_and_their_difference_is_paired() -> None:
    _, first = answers(300, 1)
    drawn = np.random.default_rng(0).random((300, 1))
    labels = (drawn > first.cumsum(1)).sum(1).clip(max=3)  # as likely as the first says
    sharp = first**4
    sharp = (sharp / sharp.sum(1, keepdims=True)).astype(np.float32)
    weights = draw_patients(labels, [str(row) for row in range(300)], 0)
    told = compare_calibration(labels, first, sharp, weights)
    assert told.first == pytest.approx(expected_calibration_error(labels, first))
    assert told.second == pytest.approx(expected_calibration_error(labels, sharp))
    assert told.difference.value == pytest.approx(told.second - told.first)
    assert told.difference.low > 0


def test_changes_are_counted_by_image_and_tested_by_patient() -> None:
    first, second = mask("11000000"), mask("00111110")
    told = count_changes(first, second, list("aabbbbcd"))
    assert (told.gained, told.lost) == (5, 2)
    assert (told.patients_gained, told.patients_lost) == (2, 1)
    assert told.p == 1.0  # two of three: nothing out of the ordinary


def test_the_test_is_mcnemars_where_each_patient_has_one_image() -> None:
    first, second = mask("1" + "0" * 9), mask("0" + "1" * 9)
    told = count_changes(first, second, [str(row) for row in range(10)])
    assert told.p == pytest.approx(2 * (1 + 10) / 2**10)  # exact, nine of ten


def test_where_nothing_changes_nothing_is_unlikely() -> None:
    same = mask("1010")
    assert count_changes(same, same, list("abcd")).p == 1.0
