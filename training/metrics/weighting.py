"""Shares of images whose groups count alike, with exact bounds by patient.

One source may have ten times the images of another, and the next hospital is like neither: so a
share is the mean of the groups' shares, not that of whoever has most images.
"""

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from app.model.measured.figures import Interval

Weights = NDArray[np.float64]

LEAST_OF_A_GROUP: Final = 50
"""Images; a smaller group counts the less, the smaller it is: a handful would decide else."""

_TAIL: Final = 0.025


def weigh_evenly(groups: Sequence[Hashable]) -> Weights:
    """Weigh images so that each of their groups weighs as much as any other: [N], sum 1."""
    codes: dict[Hashable, int] = {}
    owner = np.array([codes.setdefault(group, len(codes)) for group in groups], np.int64)
    sizes = np.bincount(owner, minlength=len(codes))
    weights = 1 / np.maximum(sizes, min(LEAST_OF_A_GROUP, sizes.max()))[owner]
    return np.asarray(weights / weights.sum(), np.float64)


def count_effective(whole: NDArray[np.bool_], weights: Weights, patients: Sequence[str]) -> float:
    """Return how many independent images tell a weighted share as surely as `whole` [N] does.

    Kish 1965, "Survey Sampling", of patients: all images of one count as alike.
    """
    _, owner = np.unique(np.array(patients), return_inverse=True)
    each = np.bincount(owner, weights=weights * whole)
    squares = (each**2).sum()
    return float(each.sum() ** 2 / squares) if squares > 0 else 0.0


def count_step_by_step(
    first: NDArray[np.int64], steps: int, weights: Weights, patients: Sequence[str]
) -> Weights:
    """Return `count_effective` of the images whose `first` [N] step is no later, at each: [steps].

    An image whose step is `steps` or later comes at none.
    """
    _, owner = np.unique(np.array(patients), return_inverse=True)
    order = np.lexsort((first, owner))
    ordered, own, when = weights[order], owner[order], np.minimum(first[order], steps)
    sums = ordered.cumsum()
    begins = np.searchsorted(own, own)  # where a patient's images begin
    before = sums - ordered - np.concatenate([[0.0], sums])[begins]
    grown = ordered * (2 * before + ordered)  # what a patient's squared weight grows by
    totals, squares = (
        np.bincount(when, weights=values, minlength=steps + 1)[:steps].cumsum()
        for values in (ordered, grown)
    )
    counts = np.zeros(steps)
    np.divide(totals**2, squares, out=counts, where=squares > 0)
    return counts


def upper_bound(
    share: float | Weights, count: float | Weights, level: float
) -> NDArray[np.float64]:
    """Return the one-sided upper bound of a share of `count` independent images.

    Clopper and Pearson 1934; with weights on the effective count (Korn and Graubard 1998). 1 of
    none.
    """
    share, count = np.broadcast_arrays(np.asarray(share, float), np.asarray(count, float))
    hits = share * count
    bounded = (count > 0) & (hits < count)
    bound = beta.ppf(level, hits + 1, np.where(bounded, count - hits, 1))
    return np.where(bounded, bound, 1.0)


def weighted_interval(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], weights: Weights, patients: Sequence[str]
) -> Interval:
    """Return the weighted share of `part` in `whole`, bool [N] each, with its 95 % interval.

    0, from 0 to 1, where nothing is in the whole.
    """
    total = float(weights @ whole)
    if total <= 0:
        return Interval(value=0, low=0, high=1)
    share = float(weights @ (part & whole)) / total
    count = count_effective(whole, weights, patients)
    high = float(upper_bound(share, count, 1 - _TAIL))
    low = 1 - float(upper_bound(1 - share, count, 1 - _TAIL))
    return Interval(value=share, low=min(low, share), high=max(high, share))
