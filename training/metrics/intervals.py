"""95 % intervals by patient that hold at 0 and 1 too.

A percentile bootstrap says "1.000 (1.000 to 1.000)" of 63 right out of 63: it can't draw the error
that was not seen. So rates have Clopper and Pearson's limits on the effective number of patients,
areas under the ROC curve a score interval, and figures made of several are put together from
those. What is no rate (a mean of differences) keeps the bootstrap's percentiles.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import t

from app.model.measured.binomial import exact_limits
from app.model.measured.figures import Interval
from training.metrics.bootstrap import Figures

_TAIL: Final = 0.025
_Z: Final = 1.959963984540054
_FEW: Final = 10
"""Patients with an error: from fewer, how alike a patient's images are can't be told."""

_NEARLY: Final = 1e-9


def rate_interval(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], patients: Sequence[str]
) -> Interval:
    """Return the share of `part` in `whole`, bool [N] each, with its interval.

    Clopper and Pearson's limits on the effective number of images (Korn and Graubard 1998,
    "Confidence Intervals for Proportions With Small Expected Number of Positive Counts Estimated
    From Survey Data"): at least 95 % with one image a patient. Where few patients are
    wrong, all images of one count as alike. 0, from 0 to 1, where nothing is in the whole.
    """
    wholes, parts = (_count_by_patient(images, patients) for images in (whole, part & whole))
    parts, wholes = parts[wholes > 0], wholes[wholes > 0]
    if not len(wholes):
        return Interval(value=0, low=0, high=1)
    rate = float(parts.sum() / wholes.sum())
    count = _count_effective(parts, wholes)
    low, high = exact_limits(rate * count, count)
    return Interval(value=rate, low=low, high=high)


def _count_by_patient(images: NDArray[np.bool_], patients: Sequence[str]) -> Figures:
    _, owner = np.unique(np.array(patients), return_inverse=True)
    return np.bincount(owner, weights=images).astype(np.float64)


def _count_effective(parts: Figures, wholes: Figures) -> float:
    """Return how many independent images would tell a rate as surely as these patients do."""
    alike = count_patients(wholes)
    if (wholes == 1).all():
        return alike
    rate = parts.sum() / wholes.sum()
    variance = ((parts - rate * wholes) ** 2).sum() / wholes.sum() ** 2
    spread = rate * (1 - rate)
    counted = min(spread / variance, wholes.sum()) if variance > 0 else float(wholes.sum())
    if min((parts > 0).sum(), (parts < wholes).sum()) < _FEW:
        return float(min(alike, counted)) if spread > 0 else alike
    return float(counted * (_Z / t.ppf(1 - _TAIL, len(wholes) - 1)) ** 2)


def count_patients(images: Figures) -> float:
    """Return the number of patients, fewer where some of them have most images (Kish 1965).

    Parameters
    ----------
    images : how many each patient has
    """
    return float(images.sum() ** 2 / (images**2).sum())


def auroc_interval(
    positive: NDArray[np.bool_], figures: Figures, patients: Sequence[str]
) -> Interval:
    """Return an area under the ROC curve, the first of `figures`, with its interval.

    A score interval: all areas from which the one seen is less than 1.96 deviations away, those
    that each of them would have (Newcombe 2006, "Confidence intervals for an effect size measure
    based on the Mann-Whitney statistic", method 5), on effective numbers of patients. The
    resamples, the rest of `figures`, correct the deviations, except where next to nothing is
    ranked wrong.
    """
    area = float(figures[0])
    sick, well = (
        count_patients(_count_by_patient(kind, patients)) for kind in (positive, ~positive)
    )

    def variance(of: float) -> float:
        mean = (sick + well) / 2
        spread = (1 - of) / (2 - of) + of / (1 + of)
        return of * (1 - of) * (1 + (mean - 1) * spread) / (sick * well)

    expected = variance(area)
    ratio = float(np.nanvar(figures[1:])) / expected if expected > 0 else 1.0
    if min(area, 1 - area) * min(sick, well) < _FEW / 2:
        ratio = max(ratio, 1.0)

    def excess(of: float) -> float:
        return (of - area) ** 2 - _Z**2 * ratio * variance(of)

    low = brentq(excess, 0, area - _NEARLY) if excess(max(area - _NEARLY, 0)) < 0 else area
    high = brentq(excess, area + _NEARLY, 1) if excess(min(area + _NEARLY, 1)) < 0 else area
    return Interval(value=area, low=float(max(low, 0)), high=float(min(high, 1)))


def combine(
    parts: Sequence[Interval], factors: Sequence[float], resamples: Sequence[Figures]
) -> Interval:
    """Return the sum of figures times factors, with an interval made of theirs.

    Square-and-add of the distances to each limit (Zou and Donner 2008, "Construction of
    confidence limits about effect measures"), with the correlations that the resamples have.

    Parameters
    ----------
    resamples : of each part, its value first; of a part that never changes none is correlated
    """
    rows = np.stack([np.nan_to_num(figures[1:]) for figures in resamples])
    rows -= rows.mean(1, keepdims=True)
    lengths = np.sqrt((rows**2).sum(1))
    moving = np.divide(rows, lengths[:, None], out=np.zeros_like(rows), where=lengths[:, None] > 0)
    correlation = moving @ moving.T
    np.fill_diagonal(correlation, 1)
    scale = np.array(factors)
    below = np.array([part.value - part.low for part in parts])
    above = np.array([part.high - part.value for part in parts])

    def reach(steps: Figures) -> float:
        return float(np.sqrt(max(steps @ correlation @ steps, 0)))

    value = float(scale @ [part.value for part in parts])
    low = value - reach(scale * np.where(scale > 0, below, above))
    high = value + reach(scale * np.where(scale > 0, above, below))
    bounds = -scale[scale < 0].sum(), scale[scale > 0].sum()
    return Interval(value=value, low=max(low, -bounds[0]), high=min(high, bounds[1]))


def mean_interval(parts: Sequence[Interval], resamples: Sequence[Figures]) -> Interval:
    """Return the mean of figures, with an interval made of theirs."""
    return combine(parts, [1 / len(parts)] * len(parts), resamples)


def percentile_interval(figures: Figures) -> Interval:
    """Return the first figure, with the middle 95 % of the rest, its resamples."""
    low, high = np.percentile(figures[1:], [100 * _TAIL, 100 * (1 - _TAIL)])
    return Interval(value=float(figures[0]), low=float(low), high=float(high))
