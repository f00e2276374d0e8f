"""training.metrics: figures compared with numbers worked out by hand."""

from math import log

import numpy as np
import pytest

from app.bundle import Metrics
from training import metrics
from training.metrics import (
    accuracy,
    auroc,
    balanced_accuracy,
    macro_auroc,
    measure,
    sensitivity,
    specificity,
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


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_RESAMPLES", 10)  # 1000 take half a minute


@pytest.fixture
def no_auroc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the one figure that takes time."""
    monkeypatch.setattr(metrics, "auroc", lambda *_: 1.0)


def measure_one_patient_an_image(seed: int = 0) -> Metrics:
    truth, calls = np.tile(TRUTH, 5), np.tile(CALLS, (5, 1))
    return measure(truth, calls, [str(i) for i in range(40)], ["a"] * 40, seed)


def test_accuracy_is_the_share_called_right() -> None:
    assert accuracy(TRUTH, CALLS) == 6 / 8


@pytest.mark.parametrize(("index", "expected"), [(0, 3 / 4), (1, 1 / 2), (2, 1), (3, 1)])
def test_sensitivity_is_the_share_of_a_labels_images_called_by_it(
    index: int, expected: float
) -> None:
    assert sensitivity(TRUTH, CALLS, index) == expected


@pytest.mark.parametrize(("index", "expected"), [(0, 3 / 4), (1, 5 / 6), (2, 1), (3, 1)])
def test_specificity_is_the_share_of_the_others_not_called_by_it(
    index: int, expected: float
) -> None:
    assert specificity(TRUTH, CALLS, index) == pytest.approx(expected)


def test_balanced_accuracy_is_the_mean_sensitivity() -> None:
    assert balanced_accuracy(TRUTH, CALLS) == (3 / 4 + 1 / 2 + 1 + 1) / 4


@pytest.mark.parametrize(("index", "expected"), list(enumerate(RANKED_AUROC)))
def test_auroc_is_the_share_of_pairs_ranked_right_ties_half(index: int, expected: float) -> None:
    assert auroc(RANKED_TRUTH, RANKED, index) == pytest.approx(expected)


def test_macro_auroc_is_the_mean_of_the_four() -> None:
    assert macro_auroc(RANKED_TRUTH, RANKED) == pytest.approx(3.5 / 4)


def test_measure_gives_the_figures_of_the_functions() -> None:
    measured = measure(RANKED_TRUTH, RANKED, list("abcd"), ["s"] * 4)
    assert measured.accuracy.value == 2 / 4  # rows 1 and 3 are called 0, a tie going to the first
    assert [figure.value for figure in measured.auroc.values()] == pytest.approx(RANKED_AUROC)
    assert measured.macro_auroc.value == pytest.approx(3.5 / 4)


@pytest.mark.usefixtures("no_auroc")
def test_measure_names_figures_by_label() -> None:
    measured = measure_one_patient_an_image()
    assert {label: figure.value for label, figure in measured.sensitivity.items()} == {
        "normal": 3 / 4,
        "covid19": 1 / 2,
        "bacterial_pneumonia": 1,
        "viral_pneumonia": 1,
    }
    assert measured.specificity["covid19"].value == pytest.approx(5 / 6)


@pytest.mark.usefixtures("no_auroc")
def test_nll_is_the_mean_surprise_at_the_truth() -> None:
    measured = measure(RANKED_TRUTH, RANKED, list("abcd"), ["s"] * 4)
    expected = -(log(0.4) + log(0.3) + log(0.6) + log(0.3)) / 4
    assert measured.nll == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("no_auroc")
@pytest.mark.filterwarnings("error")
def test_float32_rounding_of_the_rows_raises_no_warning() -> None:
    rows = np.random.default_rng(0).dirichlet([1, 1, 1, 1], 40).astype(np.float32)
    assert not np.allclose(rows.astype(np.float64).sum(axis=1), 1, rtol=0, atol=2e-8)
    truth = np.arange(40) % 4
    expected = -np.log(rows[range(40), truth]).mean()
    measured = measure(truth, rows, [str(i) for i in range(40)], ["a"] * 40)
    assert measured.nll == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.usefixtures("no_auroc")
def test_confusion_counts_truth_in_rows_and_prediction_in_columns() -> None:
    measured = measure(TRUTH, CALLS, list("abcdefgh"), ["s"] * 8)
    assert measured.confusion == [[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.usefixtures("no_auroc")
def test_confusion_keeps_the_row_and_column_of_a_label_never_called() -> None:
    calls = np.eye(4, dtype=np.float32)[[0, 0, 0, 0]]
    measured = measure(RANKED_TRUTH, calls, list("abcd"), ["s"] * 4)
    assert measured.confusion == [[1, 0, 0, 0]] * 4


@pytest.mark.usefixtures("no_auroc")
def test_images_and_patients_are_counted() -> None:
    measured = measure(TRUTH, CALLS, list("aabbccdd"), ["s"] * 8)
    assert (measured.images, measured.patients) == (8, 4)


@pytest.mark.usefixtures("no_auroc")
def test_accuracy_is_split_by_source() -> None:
    measured = measure(TRUTH, CALLS, list("abcdefgh"), ["x", "x", "y", "y", "y", "y", "y", "x"])
    assert measured.accuracy_by_source == {"x": 3 / 3, "y": 3 / 5}


@pytest.mark.usefixtures("no_auroc")
def test_a_patients_images_are_resampled_together() -> None:
    # Every patient is half right, and a draw of four that shows every label draws each once:
    # by patient there is nothing to vary, by image there would be.
    truth = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    calls = np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 2, 3, 3, 0]]
    figure = measure(truth, calls, list("aabbccdd"), ["s"] * 8).accuracy
    assert (figure.low, figure.value, figure.high) == (0.5, 0.5, 0.5)


@pytest.mark.usefixtures("no_auroc")
def test_an_interval_spans_the_middle_95_percent_of_the_resamples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Resample k shows k wrong images and 40 - k right ones beside one right image a label:
    # accuracies 4/44 ... 44/44, whose 2.5th and 97.5th percentiles are the 2nd and the 40th of 41.
    truth = np.array([0, 1, 2, 3, 0])
    calls = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1]]
    resamples = [np.array([0, 1, 2, 3] + [4] * k + [0] * (40 - k)) for k in range(41)]
    monkeypatch.setattr(metrics, "_resample_by_patient", lambda *_: resamples)
    figure = measure(truth, calls, list("abcde"), ["s"] * 5).accuracy
    assert figure.value == 4 / 5
    assert (figure.low, figure.high) == pytest.approx((5 / 44, 43 / 44))


@pytest.mark.usefixtures("no_auroc")
def test_an_interval_of_a_classifier_that_errs_holds_the_figure_and_has_a_width() -> None:
    figure = measure_one_patient_an_image().accuracy
    assert figure.low < figure.value == 0.75 < figure.high


@pytest.mark.usefixtures("no_auroc")
def test_the_same_seed_draws_the_same_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) == measure_one_patient_an_image(seed=1)


@pytest.mark.usefixtures("no_auroc")
def test_another_seed_draws_other_intervals() -> None:
    assert measure_one_patient_an_image(seed=1) != measure_one_patient_an_image(seed=2)


def test_a_label_without_images_is_refused_not_waited_for() -> None:
    with pytest.raises(ValueError, match="every label"):
        measure(TRUTH[:7], CALLS[:7], list("abcdefg"), ["s"] * 7)
