"""training.metrics.metrics: figures beside numbers worked out by hand, and scikit-learn's."""

from collections.abc import Mapping
from math import log

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_score, roc_auc_score

from app.model.measured.figures import Calibration, Interval, Metrics
from training.metrics import bootstrap
from training.metrics.bootstrap import auroc, draw_patients, share
from training.metrics.metrics import accuracy, macro_auroc, measure
from training.metrics.reliability import measure_calibration, simulate_calibration_error

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


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 50)


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
    assert (figure.value, figure.low, figure.high) == (0, 0, 1)  # nothing is known of it


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
    assert Calibration(
        nll=measured.nll, brier=measured.brier or 0, ece=measured.ece or 0
    ) == measure_calibration(RANKED_TRUTH, RANKED)
    by_chance = simulate_calibration_error(RANKED)
    assert (measured.ece_by_chance, measured.ece_by_chance_95) == by_chance


def test_what_temperature_changes_is_told_if_the_answers_before_it_are_given() -> None:
    before = RANKED[:, ::-1]
    measured = measure(RANKED_TRUTH, RANKED, list("abcd"), ["s"] * 4, uncalibrated=before)
    assert measured.before_temperature == measure_calibration(RANKED_TRUTH, before)
    assert measured.nll == measure_calibration(RANKED_TRUTH, RANKED).nll


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


# ---------------------------------------------------------------- intervals


def test_a_patients_images_are_counted_together() -> None:
    # Four patients, each half right, tell no more than two right and two wrong.
    truth = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    calls = np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 2, 3, 3, 0]]
    figure = measure(truth, calls, list("aabbccdd"), ["s"] * 8).accuracy
    assert figure.value == 0.5
    assert (figure.low, figure.high) == pytest.approx((0.0676, 0.9324), abs=1e-4)


def test_as_many_patients_are_drawn_as_there_are() -> None:
    owners = list("aaabbcdd")
    _, firsts = np.unique(owners, return_index=True)
    everyone, *resamples = draw_patients(np.zeros(8, int), owners, seed=0)
    assert everyone.tolist() == [1] * 8
    assert len(resamples) == 50
    assert {row[firsts].sum() for row in resamples} == {4}
    assert max(row.max() for row in resamples) > 1
    assert all(row[0] == row[1] == row[2] for row in resamples)


def test_resampled_figures_are_of_the_images_as_often_as_drawn() -> None:
    labels, probabilities = draw_answers(40)
    drawn = draw_patients(labels, [str(row // 2) for row in range(40)], seed=4)
    areas = auroc(labels == 3, probabilities[:, 3], drawn)
    right = probabilities.argmax(1) == labels
    shares = share(right, np.ones(40, bool), drawn)
    for row, weights in enumerate(drawn.astype(int)):
        again = np.repeat(np.arange(40), weights)
        assert areas[row] == pytest.approx(
            roc_auc_score(labels[again] == 3, probabilities[again, 3])
        )
        assert shares[row] == pytest.approx(accuracy(labels[again], probabilities[again]))


def test_an_interval_of_a_classifier_that_errs_holds_the_figure_and_has_a_width() -> None:
    figure = measure_one_patient_an_image().accuracy
    assert figure.low < figure.value == 0.75 < figure.high


def test_the_same_seed_draws_the_same_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) == measure_one_patient_an_image(seed=1)


def test_another_seed_draws_other_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) != measure_one_patient_an_image(seed=2)
