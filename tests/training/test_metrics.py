"""training.metrics: figures compared with numbers worked out by hand, and with scikit-learn's."""

from collections.abc import Mapping
from math import log, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_score, roc_auc_score

from app.card import Interval, Metrics
from training import metrics
from training.metrics import (
    accuracy,
    auroc,
    brier,
    expected_calibration_error,
    expected_calibration_error_by_chance,
    macro_auroc,
    measure,
    measure_tasks,
)

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 3])
CALLED = np.array([0, 0, 0, 1, 1, 0, 2, 3])
CALLS = np.eye(4, dtype=np.float32)[CALLED] * np.float32(0.6) + np.float32(0.1)

RANKED_TRUTH = np.array([0, 1, 2, 3])
RANKED = np.array(
    [
        [0.4, 0.3, 0.2, 0.1],
        [0.5, 0.3, 0.1, 0.1],
        [0.1, 0.2, 0.6, 0.1],
        [0.3, 0.1, 0.3, 0.3],
    ],
    np.float32,
)
# Pairs (positive, negative) won; a tie is half a pair.
RANKED_AUROC = [2 / 3, 2.5 / 3, 3 / 3, 3 / 3]

NORMAL, COVID, BACTERIAL, VIRAL = range(4)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_RESAMPLES", 50)


def measure_one_patient_an_image(seed: int = 0) -> Metrics:
    truth, calls = np.tile(TRUTH, 5), np.tile(CALLS, (5, 1))
    return measure(truth, calls, [str(i) for i in range(40)], ["a"] * 40, seed)


def draw_answers(count: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Draw probabilities with many ties, and labels as likely as they say."""
    generator = np.random.default_rng(seed)
    rough = generator.dirichlet([1, 1, 1, 1], count).round(1) + 0.02
    probabilities = rough / rough.sum(1, keepdims=True)
    labels = [generator.choice(4, p=row) for row in probabilities]
    return np.array(labels), probabilities.astype(np.float32)


def values(intervals: Mapping[str, Interval]) -> dict[str, float]:
    return {name: interval.value for name, interval in intervals.items()}


# ---------------------------------------------------------------- what is called


def test_accuracy_is_the_share_called_right() -> None:
    assert accuracy(TRUTH, CALLS) == 6 / 8


def test_sensitivity_is_the_share_of_a_labels_images_called_by_it() -> None:
    assert values(measure_one_patient_an_image().sensitivity) == {
        "normal": 3 / 4,
        "covid19": 1 / 2,
        "bacterial_pneumonia": 1,
        "viral_pneumonia": 1,
    }


def test_specificity_is_the_share_of_the_others_not_called_by_it() -> None:
    assert values(measure_one_patient_an_image().specificity) == pytest.approx(
        {"normal": 3 / 4, "covid19": 5 / 6, "bacterial_pneumonia": 1, "viral_pneumonia": 1}
    )


def test_precision_is_the_share_of_the_images_called_by_a_label_that_have_it() -> None:
    assert values(measure_one_patient_an_image().precision) == {
        "normal": 3 / 4,
        "covid19": 1 / 2,
        "bacterial_pneumonia": 1,
        "viral_pneumonia": 1,
    }


def test_precision_is_scikit_learns() -> None:
    labels, probabilities = draw_answers(60)
    measured = measure(labels, probabilities, [str(i) for i in range(60)], ["a"] * 60).precision
    expected = precision_score(labels, probabilities.argmax(1), average=None)
    assert list(values(measured).values()) == pytest.approx(list(expected))


def test_a_label_never_called_has_a_precision_of_0() -> None:
    calls = np.eye(4, dtype=np.float32)[[0, 0, 0, 0]]
    figure = measure(RANKED_TRUTH, calls, list("abcd"), ["s"] * 4).precision["covid19"]
    assert (figure.value, figure.low, figure.high) == (0, 0, 0)


def test_balanced_accuracy_is_the_mean_sensitivity() -> None:
    figure = measure_one_patient_an_image().balanced_accuracy
    assert figure.value == (3 / 4 + 1 / 2 + 1 + 1) / 4


def test_confusion_counts_truth_in_rows_and_prediction_in_columns() -> None:
    measured = measure(TRUTH, CALLS, list("abcdefgh"), ["s"] * 8)
    assert measured.confusion == [[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_confusion_keeps_the_row_and_column_of_a_label_never_called() -> None:
    calls = np.eye(4, dtype=np.float32)[[0, 0, 0, 0]]
    measured = measure(RANKED_TRUTH, calls, list("abcd"), ["s"] * 4)
    assert measured.confusion == [[1, 0, 0, 0]] * 4


def test_images_and_patients_are_counted() -> None:
    measured = measure(TRUTH, CALLS, list("aabbccdd"), ["s"] * 8)
    assert (measured.images, measured.patients) == (8, 4)


def test_a_label_without_images_is_refused_not_waited_for() -> None:
    with pytest.raises(ValueError, match="every label"):
        measure(TRUTH[:7], CALLS[:7], list("abcdefg"), ["s"] * 7)


# ---------------------------------------------------------------- ranking


@pytest.mark.parametrize(("index", "expected"), list(enumerate(RANKED_AUROC)))
def test_auroc_is_the_share_of_pairs_ranked_right_ties_half(index: int, expected: float) -> None:
    positive, once = np.equal(RANKED_TRUTH, index), np.ones((1, 4))
    assert auroc(positive, RANKED[:, index], once) == pytest.approx([expected])


@pytest.mark.parametrize("seed", range(3))
def test_auroc_is_scikit_learns_whatever_the_ties_and_the_weights(seed: int) -> None:
    labels, probabilities = draw_answers(80, seed)
    positive, scores = labels == 2, probabilities[:, 2].round(1)
    assert len(np.unique(scores)) < 12
    drawn = np.random.default_rng(seed).poisson(1.0, (5, 80)).astype(np.float64)
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in drawn]
    assert auroc(positive, scores, drawn) == pytest.approx(expected)


def test_a_weight_of_two_is_the_image_twice() -> None:
    weights = np.array([[2.0, 1, 0, 3]])
    repeated = [0, 0, 1, 3, 3, 3]
    positive = RANKED_TRUTH == 1
    expected = auroc(positive[repeated], RANKED[repeated, 1], np.ones((1, 6)))
    assert auroc(positive, RANKED[:, 1], weights) == pytest.approx(expected)


def test_auroc_of_equal_scores_is_a_half() -> None:
    positive = np.array([True, False, False])
    assert auroc(positive, np.full(3, 0.25), np.ones((1, 3))) == [0.5]


def test_macro_auroc_is_the_mean_of_the_four() -> None:
    assert macro_auroc(RANKED_TRUTH, RANKED) == pytest.approx(3.5 / 4)


def test_macro_auroc_is_scikit_learns() -> None:
    labels, probabilities = draw_answers(80)
    expected = roc_auc_score(np.eye(4)[labels], probabilities, average="macro")
    assert macro_auroc(labels, probabilities) == pytest.approx(expected)


def test_measure_gives_the_figures_of_the_functions() -> None:
    measured = measure(RANKED_TRUTH, RANKED, list("abcd"), ["s"] * 4)
    assert measured.accuracy.value == 2 / 4  # rows 1 and 3 are called 0, a tie going to the first
    assert list(values(measured.auroc).values()) == pytest.approx(RANKED_AUROC)
    assert measured.macro_auroc.value == pytest.approx(3.5 / 4)
    assert measured.brier == brier(RANKED_TRUTH, RANKED)
    assert measured.ece == expected_calibration_error(RANKED_TRUTH, RANKED)
    assert measured.ece_by_chance == expected_calibration_error_by_chance(RANKED)


# ---------------------------------------------------------------- calibration


def confident(*confidences: float) -> NDArray[np.float32]:
    """Call label 0 with each confidence."""
    return np.array([[c, *[(1 - c) / 3] * 3] for c in confidences], np.float32)


def test_nll_is_the_mean_surprise_at_the_truth() -> None:
    measured = measure(RANKED_TRUTH, RANKED, list("abcd"), ["s"] * 4)
    expected = -(log(0.4) + log(0.3) + log(0.6) + log(0.3)) / 4
    assert measured.nll == pytest.approx(expected, rel=1e-6)


def test_float32_rounding_of_the_rows_raises_no_warning() -> None:
    rows = np.random.default_rng(0).dirichlet([1, 1, 1, 1], 40).astype(np.float32)
    assert not np.allclose(rows.astype(np.float64).sum(axis=1), 1, rtol=0, atol=2e-8)
    truth = np.arange(40) % 4
    expected = -np.log(rows[range(40), truth]).mean()
    measured = measure(truth, rows, [str(i) for i in range(40)], ["a"] * 40)
    assert measured.nll == pytest.approx(float(expected), rel=1e-6)


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


def test_ece_is_the_gap_of_confidence_and_accuracy_weighed_over_the_bins() -> None:
    # One bin of 3 images, all right, one of 1, wrong.
    labels = np.array([0, 0, 0, 1])
    gap = (3 * (1 - 0.62) + 1 * 0.9) / 4
    assert expected_calibration_error(labels, confident(0.62, 0.62, 0.62, 0.9)) == pytest.approx(
        gap
    )


def test_within_a_bin_right_and_wrong_make_up_for_each_other() -> None:
    labels = np.array([0, 0, 0, 1])
    answers = confident(0.74, 0.74, 0.76, 0.76)  # a bin from 11/15 to 12/15
    assert expected_calibration_error(labels, answers) == pytest.approx(0, abs=1e-6)


def test_between_bins_they_do_not() -> None:
    labels = np.array([0, 1])
    assert expected_calibration_error(labels, confident(0.72, 0.75)) == pytest.approx(
        (1 - 0.72 + 0.75) / 2
    )


@pytest.mark.parametrize(("label", "expected"), [(0, 0), (1, 1)])
def test_a_confidence_of_1_belongs_to_the_last_bin(label: int, expected: float) -> None:
    assert expected_calibration_error(np.array([label]), confident(1.0)) == expected


def test_ece_by_chance_of_one_answer_is_its_expectation() -> None:
    # Right 7 times in 10, then 0.3 off; else 0.7 off.
    by_chance = expected_calibration_error_by_chance(confident(0.7))
    assert by_chance == pytest.approx(0.7 * 0.3 + 0.3 * 0.7, abs=0.04)


@pytest.mark.parametrize("count", [100, 1600])
def test_ece_by_chance_falls_with_the_root_of_the_images(count: int) -> None:
    # The mean distance of a binomial share from its expectation.
    expected = sqrt(2 / pi * 0.7 * 0.3 / count)
    by_chance = expected_calibration_error_by_chance(confident(*[0.7] * count))
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
    by_chance = expected_calibration_error_by_chance(probabilities)
    assert by_chance == pytest.approx(float(np.mean(seen)), rel=0.1)
    assert by_chance > 0.02


def test_ece_by_chance_of_certain_answers_is_0() -> None:
    assert expected_calibration_error_by_chance(confident(1.0, 1.0)) == 0


# ---------------------------------------------------------------- by source


SOURCES = ["x", "x", "y", "y", "y", "y", "y", "x"]


def test_accuracy_is_split_by_source() -> None:
    measured = measure(TRUTH, CALLS, list("abcdefgh"), SOURCES)
    assert measured.accuracy_by_source == {"x": 3 / 3, "y": 3 / 5}


def test_sensitivity_is_split_by_source_for_the_labels_it_has() -> None:
    measured = measure(TRUTH, CALLS, list("abcdefgh"), SOURCES).sensitivity_by_source
    assert {source: values(labels) for source, labels in measured.items()} == {
        "x": {"normal": 1, "viral_pneumonia": 1},
        "y": {"normal": 1 / 2, "covid19": 1 / 2, "bacterial_pneumonia": 1},
    }


# ---------------------------------------------------------------- the two tasks


TASK_TRUTH = np.array([NORMAL, NORMAL, BACTERIAL, BACTERIAL, VIRAL, VIRAL, COVID, NORMAL])
TASK_ANSWERS = np.array(
    [
        [0.80, 0.00, 0.10, 0.10],
        [0.40, 0.00, 0.30, 0.30],  # more likely ill
        [0.10, 0.10, 0.50, 0.30],
        [0.45, 0.05, 0.20, 0.30],  # though called normal, more likely ill; then more likely viral
        [0.20, 0.00, 0.20, 0.60],
        [0.50, 0.25, 0.125, 0.125],  # as likely normal as not, as likely viral as bacterial
        [0.00, 0.00, 0.00, 1.00],
        [0.00, 0.00, 1.00, 0.00],
    ],
    np.float32,
)
TASK_PATIENTS = list("abccdefg")
# The last two images come from where COVID-19 and normal do, but no pneumonia.
TASK_SOURCES = ["hospital"] * 6 + ["archive"] * 2


def test_pneumonia_is_told_from_normal_by_all_that_is_not_normal() -> None:
    task = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES)[
        "pneumonia_vs_normal"
    ]
    assert (task.images, task.patients) == (6, 5)
    assert task.auroc.value == 6 / 8  # ill 0.9, 0.55, 0.8, 0.5 against normal 0.2, 0.6
    assert task.accuracy.value == pytest.approx(4 / 6)
    assert (task.sensitivity.value, task.specificity.value) == (3 / 4, 1 / 2)


def test_viral_is_told_from_bacterial_by_its_share_of_both() -> None:
    task = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES)[
        "viral_vs_bacterial"
    ]
    assert (task.images, task.patients) == (4, 3)
    assert task.auroc.value == 3 / 4  # viral 0.75, 0.5 against bacterial 0.375, 0.6
    assert task.accuracy.value == 2 / 4
    assert (task.sensitivity.value, task.specificity.value) == (1 / 2, 1 / 2)


def test_more_likely_than_not_is_more_than_a_half() -> None:
    truth = np.array([NORMAL, BACTERIAL, VIRAL])
    even = np.array([[0.5, 0.0, 0.25, 0.25]] * 3, np.float32)
    for task in measure_tasks(truth, even, list("abc"), ["s"] * 3).values():
        assert (task.sensitivity.value, task.specificity.value) == (0, 1)


def test_without_bacterial_and_viral_no_share_is_viral() -> None:
    truth = np.array([NORMAL, BACTERIAL, VIRAL])
    neither = np.array([[1, 0, 0, 0]] * 3, np.float32)
    task = measure_tasks(truth, neither, list("abc"), ["s"] * 3)["viral_vs_bacterial"]
    assert (task.auroc.value, task.sensitivity.value, task.specificity.value) == (0.5, 0, 1)


def test_no_source_with_all_three_labels_leaves_no_task() -> None:
    sources = ["a", "b", "a", "b", "c", "c", "c", "c"]
    assert measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, sources) == {}


def test_the_tasks_are_measured_with_the_rest() -> None:
    measured = measure(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES, seed=3)
    expected = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES, seed=3)
    assert measured.tasks == expected
    assert set(expected) == {"pneumonia_vs_normal", "viral_vs_bacterial"}


# ---------------------------------------------------------------- intervals


def test_a_patients_images_are_resampled_together() -> None:
    # Every patient is half right, and a draw of four that shows every label draws each once:
    # by patient there is nothing to vary, by image there would be.
    truth = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    calls = np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 2, 3, 3, 0]]
    figure = measure(truth, calls, list("aabbccdd"), ["s"] * 8).accuracy
    assert (figure.low, figure.value, figure.high) == (0.5, 0.5, 0.5)


def test_a_tasks_patients_are_resampled_together() -> None:
    truth = np.array([NORMAL, BACTERIAL, BACTERIAL, VIRAL, VIRAL])
    answers = np.eye(4, dtype=np.float32)[[NORMAL, BACTERIAL, VIRAL, VIRAL, BACTERIAL]]
    task = measure_tasks(truth, answers, list("abbcc"), ["s"] * 5)["viral_vs_bacterial"]
    assert (task.accuracy.low, task.accuracy.value, task.accuracy.high) == (0.5, 0.5, 0.5)


def test_as_many_patients_are_drawn_as_there_are() -> None:
    owners = list("aaabbcdd")
    _, firsts = np.unique(owners, return_index=True)
    everyone, *resamples = metrics._draw_patients(np.zeros(8, int), owners, seed=0)
    assert everyone.tolist() == [1] * 8
    assert len(resamples) == 50
    assert {row[firsts].sum() for row in resamples} == {4}
    assert max(row.max() for row in resamples) > 1
    assert all(row[0] == row[1] == row[2] for row in resamples)


def test_intervals_are_of_figures_of_the_images_as_often_as_drawn() -> None:
    labels, probabilities = draw_answers(40)
    patients = [str(row // 2) for row in range(40)]
    measured = measure(labels, probabilities, patients, ["s"] * 40, seed=4)
    drawn = metrics._draw_patients(labels, patients, seed=4)[1:].astype(int)
    areas, shares = [], []
    for row in drawn:
        again = np.repeat(np.arange(40), row)
        areas.append(roc_auc_score(labels[again] == 3, probabilities[again, 3]))
        shares.append(accuracy(labels[again], probabilities[again]))
    for figure, resampled in (
        (measured.auroc["viral_pneumonia"], areas),
        (measured.accuracy, shares),
    ):
        low, high = np.percentile(resampled, [2.5, 97.5])
        assert (figure.low, figure.high) == pytest.approx((low, high))


def test_an_interval_spans_the_middle_95_percent_of_the_resamples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Resample k shows k wrong images and 40 - k right ones beside one right image a label:
    # accuracies 4/44 ... 44/44, whose 2.5th and 97.5th percentiles are the 2nd and the 40th of 41.
    truth = np.array([0, 1, 2, 3, 0])
    calls = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1]]
    weights = np.array([[1] * 5] + [[41 - k, 1, 1, 1, k] for k in range(41)], np.float64)
    monkeypatch.setattr(metrics, "_draw_patients", lambda *_: weights)
    figure = measure(truth, calls, list("abcde"), list("vwxyz")).accuracy
    assert figure.value == 4 / 5
    assert (figure.low, figure.high) == pytest.approx((5 / 44, 43 / 44))


def test_an_interval_of_a_classifier_that_errs_holds_the_figure_and_has_a_width() -> None:
    figure = measure_one_patient_an_image().accuracy
    assert figure.low < figure.value == 0.75 < figure.high


def test_the_same_seed_draws_the_same_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) == measure_one_patient_an_image(seed=1)


def test_another_seed_draws_other_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) != measure_one_patient_an_image(seed=2)
