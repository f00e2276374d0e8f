"""Two models on the same images: differences, second less first, paired by patient.

Intervals are 95 %: the percentiles of differences in resamples of patients, the same patients drawn
for both. Where fewer than ten patients differ, or next to nothing is ranked wrong, those can't draw
what was not seen, and have no width: there an interval is put together from its parts' limits
(`training.metrics.intervals.combine`), and is rather too wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from app.model.measured.figures import Interval
from training.metrics.bootstrap import Figures, Weights, auroc, share
from training.metrics.intervals import (
    auroc_interval,
    combine,
    mean_interval,
    percentile_interval,
    rate_interval,
)
from training.metrics.reliability import Labels, Probabilities, bin_by_rank

Mask = NDArray[np.bool_]

_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of each model, and the second's less the first's."""

    first: float
    second: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class Changes:
    """Whom one model is right of more often than the other, and how likely that is by chance.

    Parameters
    ----------
    gained, lost : images that only the second is right of, or only the first
    patients_gained, patients_lost : patients of whom more images are gained than lost, or fewer
    p : of a sign test by patient, two-sided and exact; of one image a patient it is McNemar's
    """

    gained: int
    lost: int
    patients_gained: int
    patients_lost: int
    p: float


def compare_rates(
    first: Mask, second: Mask, whole: Mask, patients: Sequence[str], weights: Weights
) -> Difference:
    """Compare the shares of `whole` that are in `first` and in `second`, bool [N] each."""
    parts = [second & ~first & whole, first & ~second & whole]
    drawn = [share(part, whole, weights) for part in parts]
    changes = count_changes(first & whole, second & whole, patients)
    if changes.patients_gained + changes.patients_lost >= _FEW:
        # A resample may miss a source altogether.
        difference = percentile_interval(_defined(drawn[0] - drawn[1]))
    else:
        limits = [rate_interval(part, whole, patients) for part in parts]
        difference = combine(limits, [1, -1], drawn)
    count = max(int(whole.sum()), 1)
    return Difference(
        float((first & whole).sum() / count), float((second & whole).sum() / count), difference
    )


def compare_areas(
    truths: Sequence[Mask],
    first: Sequence[NDArray[np.floating]],
    second: Sequence[NDArray[np.floating]],
    patients: Sequence[str],
    weights: Weights,
) -> Difference:
    """Compare means of areas under the ROC curve, one for each of some labels.

    Parameters
    ----------
    truths : of each label, bool [N], neither all nor none
    first, second : of each label, scores [N]
    """
    means, intervals = [], []
    enough = True
    for scores in (first, second):
        areas = [auroc(truth, own, weights) for truth, own in zip(truths, scores, strict=True)]
        ranked = [
            auroc_interval(truth, area, patients) for truth, area in zip(truths, areas, strict=True)
        ]
        for truth, area in zip(truths, areas, strict=True):
            enough &= (1 - area[0]) * min(truth.sum(), (~truth).sum()) >= _FEW / 2
        intervals.append(mean_interval(ranked, areas))
        means.append(np.mean(areas, axis=0))
    difference = (
        percentile_interval(means[1] - means[0])
        if enough
        else combine(intervals[::-1], [1, -1], means[::-1])
    )
    return Difference(intervals[0].value, intervals[1].value, difference)


def compare_calibration(
    labels: Labels, first: Probabilities, second: Probabilities, weights: Weights
) -> Difference:
    """Compare expected calibration errors, as `expected_calibration_error` has them."""
    errors = [_weighted_error(labels, answers, weights) for answers in (first, second)]
    return Difference(
        float(errors[0][0]), float(errors[1][0]), percentile_interval(errors[1] - errors[0])
    )


def _defined(figures: Figures) -> Figures:
    return figures[~np.isnan(figures)]


def _weighted_error(labels: Labels, probabilities: Probabilities, weights: Weights) -> Figures:
    confidence = probabilities.max(1).astype(np.float64)
    gaps = (probabilities.argmax(1) == labels) - confidence
    sums = [np.abs(weights[:, rows] @ gaps[rows]) for rows in bin_by_rank(confidence)]
    return np.asarray(np.sum(sums, axis=0) / weights.sum(1), np.float64)


def count_changes(first: Mask, second: Mask, patients: Sequence[str]) -> Changes:
    """Count what only one of two models is right of, bool [N] each, and test it by patient."""
    _, owner = np.unique(np.array(patients), return_inverse=True)
    gained, lost = second & ~first, first & ~second
    balance = np.bincount(owner, weights=gained.astype(float) - lost)
    ahead, behind = int((balance > 0).sum()), int((balance < 0).sum())
    p = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    return Changes(int(gained.sum()), int(lost.sum()), ahead, behind, float(p))
