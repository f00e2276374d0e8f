"""The bootstrap by patient, and figures of its resamples.

It draws patients, not images: each resample is a weight an image (how often its patient was
drawn), and every figure is computed for all resamples at once.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Figures = NDArray[np.float64]

_RESAMPLES: Final = 1000


def draw_patients(labels: NDArray[np.int64], patients: Sequence[str], seed: int) -> Weights:
    """Return [1 + R, N] weights: ones, then how often each image's patient was drawn.

    Patients are drawn with replacement; a draw that misses a label is drawn again.
    """
    generator = np.random.default_rng(seed)
    names, owner = np.unique(np.array(patients), return_inverse=True)
    present = np.unique(labels)
    rows = [np.ones(len(labels))]
    while len(rows) <= _RESAMPLES:
        drawn = generator.integers(len(names), size=len(names))
        weights = np.bincount(drawn, minlength=len(names))[owner]
        if len(np.unique(labels[weights > 0])) == len(present):
            rows.append(weights.astype(np.float64))
    return np.stack(rows)


def auroc(positive: NDArray[np.bool_], scores: NDArray[np.floating], weights: Weights) -> Figures:
    """Area under the ROC curve: the share of pairs ranked right, a tie being half right.

    Parameters
    ----------
    positive : [N], `scores` : [N], higher for positive
    weights : [R, N], one row a resample

    Returns
    -------
    float64 [R]
    """
    order = np.argsort(scores)
    ties = np.concatenate([[0], np.flatnonzero(np.diff(scores[order])) + 1])
    weights, positive = weights[:, order], positive[order]
    positives = np.add.reduceat(weights * positive, ties, axis=1)
    negatives = np.add.reduceat(weights * ~positive, ties, axis=1)
    ranked_below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(1) * negatives.sum(1)
    result: Figures = (positives * ranked_below).sum(1) / pairs
    return result


def share(part: NDArray[np.bool_], whole: NDArray[np.bool_], weights: Weights) -> Figures:
    """Weigh `part` against `whole` in each resample; NaN where nothing is in the whole."""
    total = weights @ whole
    shares: Figures = np.full(len(total), np.nan)
    np.divide(weights @ part, total, out=shares, where=total > 0)
    return shares
