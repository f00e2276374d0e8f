"""training.release.quantisation: int8 against float32, on answers made up for it."""

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from app.model.measured.figures import QuantisedFigures
from app.model.session import Outputs
from tests.training.networks import make_config
from training.export.onnx_export import ExportError
from training.metrics.metrics import macro_auroc
from training.metrics.reliability import expected_calibration_error
from training.release.quantisation import check_gate, choose, compare, methods_to_try

LABELS = np.array([0, 1, 2, 3])
EXACT = np.array(
    [
        [0.90, 0.05, 0.03, 0.02],
        [0.10, 0.70, 0.10, 0.10],
        [0.28, 0.10, 0.32, 0.30],  # not clear
        [0.20, 0.10, 0.10, 0.60],
    ],
    np.float32,
)
MAPS = np.random.default_rng(0).normal(size=(4, 4, 7, 7)).astype(np.float32)


def make_outputs(probabilities: NDArray[np.float32], cam: NDArray[np.float32] = MAPS) -> Outputs:
    return Outputs(probabilities, np.log(probabilities + 1e-9), cam, np.zeros(4, np.float32))


def with_rows(**rows: list[float]) -> NDArray[np.float32]:
    """Return `EXACT` with some rows replaced, named row0 to row3."""
    changed = EXACT.copy()
    for name, row in rows.items():
        changed[int(name[-1])] = row
    return changed


def make_figures(
    macro_auroc: float = 0.95,
    labels_kept: float = 1.0,
    difference: float = 0.01,
    clear_images: int = 1000,
) -> QuantisedFigures:
    return QuantisedFigures(
        macro_auroc=macro_auroc,
        nll=0.4,
        ece=0.02,
        difference=difference,
        cam_correlation=0.99,
        labels_kept=labels_kept,
        clear_images=clear_images,
    )


# ---------------------------------------------------------------- comparing


def test_equal_answers_differ_in_nothing() -> None:
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(EXACT))
    assert (figures.difference, figures.labels_kept) == (0, 1)
    assert figures.clear_images == 3  # in the fourth, the two best are near each other
    assert figures.cam_correlation == pytest.approx(1)


def test_the_difference_is_the_mean_over_images_and_labels() -> None:
    moved = with_rows(row0=[0.80, 0.15, 0.03, 0.02], row3=[0.20, 0.10, 0.14, 0.56])
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(moved))
    assert figures.difference == pytest.approx((0.1 + 0.1 + 0.04 + 0.04) / 16)


def test_labels_kept_counts_the_images_on_which_float32_is_clear() -> None:
    lost = with_rows(row1=[0.60, 0.20, 0.10, 0.10], row2=[0.34, 0.06, 0.30, 0.30])
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(lost))
    assert figures.labels_kept == pytest.approx(2 / 3)


def test_that_int8_is_not_clear_excuses_nothing() -> None:
    lost = with_rows(row1=[0.36, 0.34, 0.15, 0.15])
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(lost))
    assert figures.labels_kept == pytest.approx(2 / 3)


def test_where_nothing_is_clear_every_label_is_kept() -> None:
    even = np.full((4, 4), 0.25, np.float32)
    assert compare(LABELS, make_outputs(even), make_outputs(EXACT)).labels_kept == 1


def test_ranking_and_calibration_are_those_of_int8() -> None:
    moved = with_rows(row0=[0.20, 0.40, 0.20, 0.20])
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(moved))
    assert figures.macro_auroc == macro_auroc(LABELS, moved) < macro_auroc(LABELS, EXACT)
    assert figures.ece == expected_calibration_error(LABELS, moved)
    expected = -(log(0.2) + log(0.7) + log(0.32) + log(0.6)) / 4
    assert figures.nll == pytest.approx(expected, rel=1e-6)


def test_a_truth_held_impossible_leaves_the_nll_finite() -> None:
    impossible = with_rows(row0=[0.0, 1.0, 0.0, 0.0])
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(impossible))
    assert 5 < figures.nll < 10


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 1), (3.0, 1), (-1.0, -1), (0.0, 0)])
def test_maps_correlate_whatever_their_scale_and_level(factor: float, expected: float) -> None:
    changed = (factor * MAPS + 5).astype(np.float32)
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(EXACT, changed))
    assert figures.cam_correlation == pytest.approx(expected, abs=1e-5)


def test_only_the_maps_of_the_labels_float32_calls_are_compared() -> None:
    others = -MAPS
    others[range(4), EXACT.argmax(1)] = MAPS[range(4), EXACT.argmax(1)]
    calls_others = EXACT[:, ::-1].copy()
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(calls_others, others))
    assert figures.cam_correlation == pytest.approx(1)


def test_the_correlation_is_the_mean_over_images() -> None:
    one_turned = MAPS.copy()
    one_turned[2] *= -1
    figures = compare(LABELS, make_outputs(EXACT), make_outputs(EXACT, one_turned))
    assert figures.cam_correlation == pytest.approx((3 - 1) / 4, abs=1e-6)


# ---------------------------------------------------------------- choosing


def test_the_method_nearest_to_float32_is_chosen() -> None:
    tried = {
        "minmax": make_figures(difference=0.02, macro_auroc=0.99),
        "entropy": make_figures(difference=0.01, macro_auroc=0.90),
        "percentile": make_figures(difference=0.03, macro_auroc=0.95),
    }
    assert choose(tried) == "entropy"


def test_of_equally_near_ones_the_first_tried_is_chosen() -> None:
    assert choose({"minmax": make_figures(), "entropy": make_figures()}) == "minmax"


def test_auto_tries_every_method() -> None:
    assert methods_to_try(make_config(calibration_method="auto")) == (
        "minmax",
        "entropy",
        "percentile",
    )


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_a_method_asked_for_is_the_only_one_tried(method: str) -> None:
    assert methods_to_try(make_config(calibration_method=method)) == (method,)


# ---------------------------------------------------------------- the gate


@pytest.mark.parametrize(
    ("fp32", "int8"),
    [
        (0.95, make_figures(macro_auroc=0.95)),
        (0.95, make_figures(macro_auroc=0.96)),
        (0.95, make_figures(macro_auroc=0.9471)),
        (0.003, make_figures(macro_auroc=0.0)),  # the bound itself, without rounding
        (0.95, make_figures(labels_kept=0.995)),
        (0.95, make_figures(labels_kept=65 / 66, clear_images=66)),  # one image, of few
    ],
)
def test_up_to_the_bounds_int8_passes(fp32: float, int8: QuantisedFigures) -> None:
    check_gate(fp32, int8)


@pytest.mark.parametrize(
    ("fp32", "int8"),
    [
        (0.95, make_figures(macro_auroc=0.9469)),
        (0.95, make_figures(labels_kept=0.994)),
        (0.95, make_figures(labels_kept=64 / 66, clear_images=66)),
        (0.95, make_figures(macro_auroc=float("nan"))),
        (0.95, make_figures(labels_kept=float("nan"))),
    ],
)
def test_beyond_a_bound_int8_stops_the_release(fp32: float, int8: QuantisedFigures) -> None:
    with pytest.raises(ExportError):
        check_gate(fp32, int8)


def test_the_error_names_the_figures_the_bounds_and_what_to_try() -> None:
    with pytest.raises(ExportError) as caught:
        check_gate(0.965, make_figures(macro_auroc=0.955, labels_kept=0.98))
    assert str(caught.value) == (
        "int8 loses 0.0100 macro-AUROC on validation (at most 0.003) and changes 20 of 1000 clear "
        "labels (at most 5). Give more --calibration-images, or train longer: the weights may not "
        "have settled."
    )
