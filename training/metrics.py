"""Figures of a classifier from labels and probabilities, with intervals by patient."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

from app.bundle import Interval, Metrics
from training.config import LABELS

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]

_RESAMPLES: Final = 1000
_CLASSES: Final = list(range(len(LABELS)))


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Share of images whose most likely label is the true one."""
    return float((probabilities.argmax(1) == labels).mean())


def balanced_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of the four sensitivities."""
    return float(np.mean([sensitivity(labels, probabilities, index) for index in _CLASSES]))


def macro_auroc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of the four areas under the ROC curve, each label against the rest."""
    return float(np.mean([auroc(labels, probabilities, index) for index in _CLASSES]))


def auroc(labels: Labels, probabilities: Probabilities, index: int) -> float:
    """Area under the ROC curve of one label against the rest."""
    return float(roc_auc_score(labels == index, probabilities[:, index]))


def sensitivity(labels: Labels, probabilities: Probabilities, index: int) -> float:
    """Share of a label's images that are called by it."""
    return float((probabilities.argmax(1) == index)[labels == index].mean())


def specificity(labels: Labels, probabilities: Probabilities, index: int) -> float:
    """Share of the other labels' images that are not called by it."""
    return float((probabilities.argmax(1) != index)[labels != index].mean())


def measure(
    labels: Labels,
    probabilities: Probabilities,
    patients: Sequence[str],
    sources: Sequence[str],
    seed: int = 0,
) -> Metrics:
    """Compute every figure of the card on one split.

    Parameters
    ----------
    labels : int64 [N], `probabilities` : float32 [N, 4], rows summing to 1
    patients, sources : N names each
    seed : of the bootstrap

    Raises
    ------
    ValueError
        If a label has no image: its figures are undefined.
    """
    if len(np.unique(labels)) < len(LABELS):
        raise ValueError("every label needs at least one image")
    values = _figures(labels, probabilities)
    resamples = _resample_by_patient(labels, patients, seed)
    drawn = np.array([_figures(labels[rows], probabilities[rows]) for rows in resamples])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    intervals = [
        Interval(value=value, low=float(bottom), high=float(top))
        for value, bottom, top in zip(values, low, high, strict=True)
    ]
    overall, per_label = intervals[:3], intervals[3:]
    ids = [label.id for label in LABELS]
    named = np.array(sources)
    return Metrics(
        images=len(labels),
        patients=len(set(patients)),
        accuracy=overall[0],
        balanced_accuracy=overall[1],
        macro_auroc=overall[2],
        sensitivity=dict(zip(ids, per_label[0::3], strict=True)),
        specificity=dict(zip(ids, per_label[1::3], strict=True)),
        auroc=dict(zip(ids, per_label[2::3], strict=True)),
        nll=float(log_loss(labels, _normalise(probabilities), labels=_CLASSES)),
        confusion=confusion_matrix(labels, probabilities.argmax(1), labels=_CLASSES).tolist(),
        accuracy_by_source={
            source: accuracy(labels[named == source], probabilities[named == source])
            for source in sorted(set(sources))
        },
    )


def _figures(labels: Labels, probabilities: Probabilities) -> list[float]:
    """Accuracy, balanced accuracy, macro-AUROC; then sensitivity, specificity, AUROC a label."""
    per_label = [
        figure(labels, probabilities, index)
        for index in _CLASSES
        for figure in (sensitivity, specificity, auroc)
    ]
    return [
        accuracy(labels, probabilities),
        float(np.mean(per_label[0::3])),
        float(np.mean(per_label[2::3])),
        *per_label,
    ]


def _normalise(probabilities: Probabilities) -> NDArray[np.float64]:
    """Make float32 rows sum to 1 in float64 too; scikit-learn warns of those that don't."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return exact


def _resample_by_patient(
    labels: Labels, patients: Sequence[str], seed: int
) -> list[NDArray[np.int64]]:
    """Draw patients with replacement; a draw that misses a label is drawn again."""
    generator = np.random.default_rng(seed)
    names, owner = np.unique(np.array(patients), return_inverse=True)
    rows_of = [np.flatnonzero(owner == index) for index in range(len(names))]
    resamples: list[NDArray[np.int64]] = []
    while len(resamples) < _RESAMPLES:
        drawn = generator.integers(len(names), size=len(names))
        rows = np.concatenate([rows_of[index] for index in drawn])
        if len(np.unique(labels[rows])) == len(LABELS):
            resamples.append(rows)
    return resamples
