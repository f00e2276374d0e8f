"""Figures of a classifier from labels and probabilities, with intervals by patient.

The bootstrap draws patients, not images: each resample is a weight an image (how often its
patient was drawn), and every figure is computed for all resamples at once.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss

from app.card import LABEL_IDS, Interval, LabelId, Metrics, Task

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Weights = NDArray[np.float64]
Figures = NDArray[np.float64]

ECE_BINS: Final = 15
_RESAMPLES: Final = 1000
_SIMULATIONS: Final = 200
_CLASSES: Final = list(range(len(LABEL_IDS)))
_NORMAL, _BACTERIAL, _VIRAL = (
    LABEL_IDS.index("normal"),
    LABEL_IDS.index("bacterial_pneumonia"),
    LABEL_IDS.index("viral_pneumonia"),
)


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Share of images whose most likely label is the true one."""
    return float((probabilities.argmax(1) == labels).mean())


def macro_auroc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of the four areas under the ROC curve, each label against the rest."""
    once = np.ones((1, len(labels)))
    return float(np.mean([auroc(labels == i, probabilities[:, i], once)[0] for i in _CLASSES]))


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


def expected_calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Mean gap between confidence and accuracy over 15 bins of equal width (Guo et al. 2017)."""
    confidence, bins = bin_confidence(probabilities)
    right = probabilities.argmax(1) == labels
    gaps = np.bincount(bins, right - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def bin_confidence(probabilities: Probabilities) -> tuple[Figures, NDArray[np.int64]]:
    """Return each answer's confidence, its highest probability, and its bin of `ECE_BINS`."""
    confidence = probabilities.max(1).astype(np.float64)
    return confidence, np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def expected_calibration_error_by_chance(probabilities: Probabilities, seed: int = 0) -> float:
    """Return the mean ECE if the probabilities were exactly right: labels drawn from them.

    On a few hundred images that is well above 0; a measured ECE is to be compared with it.
    """
    generator = np.random.default_rng(seed)
    bounds = _normalise(probabilities).cumsum(1)
    draws = generator.random((_SIMULATIONS, len(probabilities), 1))
    simulated = (draws > bounds).sum(2).clip(max=len(_CLASSES) - 1)
    return float(np.mean([expected_calibration_error(row, probabilities) for row in simulated]))


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Mean squared distance between the probabilities and the truth, from 0 to 2 (Brier 1950)."""
    truth = np.eye(len(_CLASSES))[labels]
    return float(((probabilities - truth) ** 2).sum(1).mean())


def measure(
    labels: Labels,
    probabilities: Probabilities,
    patients: Sequence[str],
    sources: Sequence[str],
    seed: int = 0,
    operating_points: Mapping[LabelId, float] | None = None,
    refused: NDArray[np.bool_] | None = None,
) -> Metrics:
    """Compute every figure of the card on one split.

    Parameters
    ----------
    labels : int64 [N], `probabilities` : float32 [N, 4], rows summing to 1
    patients, sources : N names each
    seed : of the bootstrap
    operating_points : of each label; without them nothing is told of answers withheld
    refused : [N], what is taken for no chest X-ray; counted here, and in all else like the rest

    Raises
    ------
    ValueError
        If a label has no image: its figures are undefined.
    """
    if len(np.unique(labels)) < len(LABEL_IDS):
        raise ValueError("every label needs at least one image")
    weights = _draw_patients(labels, patients, seed)
    called = probabilities.argmax(1)
    truths = dict(enumerate(np.eye(len(_CLASSES), dtype=bool)[labels].T))
    calls = dict(enumerate(np.eye(len(_CLASSES), dtype=bool)[called].T))
    sensitivity = {i: _share(truths[i] & calls[i], truths[i], weights) for i in _CLASSES}
    specificity = {i: _share(~truths[i] & ~calls[i], ~truths[i], weights) for i in _CLASSES}
    precision = {i: _share(truths[i] & calls[i], calls[i], weights) for i in _CLASSES}
    areas = {i: auroc(truths[i], probabilities[:, i], weights) for i in _CLASSES}
    named = np.array(sources)
    right = called == labels
    return Metrics(
        images=len(labels),
        patients=len(set(patients)),
        accuracy=_interval(_share(right, np.ones_like(right), weights)),
        balanced_accuracy=_interval(np.mean(list(sensitivity.values()), axis=0)),
        macro_auroc=_interval(np.mean(list(areas.values()), axis=0)),
        sensitivity=_by_label(sensitivity),
        specificity=_by_label(specificity),
        precision=_by_label(precision),
        auroc=_by_label(areas),
        nll=float(log_loss(labels, _normalise(probabilities), labels=_CLASSES)),
        brier=brier(labels, probabilities),
        ece=expected_calibration_error(labels, probabilities),
        ece_by_chance=expected_calibration_error_by_chance(probabilities, seed),
        confusion=confusion_matrix(labels, called, labels=_CLASSES).tolist(),
        accuracy_by_source={
            source: accuracy(labels[named == source], probabilities[named == source])
            for source in sorted(set(sources))
        },
        sensitivity_by_source={
            source: _by_label(
                {
                    i: _share(truths[i] & right & (named == source), held, weights)
                    for i in _CLASSES
                    if (held := truths[i] & (named == source)).any()
                }
            )
            for source in sorted(set(sources))
        },
        tasks=measure_tasks(labels, probabilities, patients, sources, seed),
        refused=None
        if refused is None
        else _interval(_share(refused, np.ones_like(refused), weights)),
        aurc=area_under_risk_coverage(labels, probabilities),
        **_measure_answered(right, probabilities, weights, operating_points),
    )


def area_under_risk_coverage(labels: Labels, probabilities: Probabilities) -> float:
    """Mean error over all shares of images answered, the most confident first.

    Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks".
    """
    order = np.argsort(-probabilities.max(1), kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    return float((wrong.cumsum() / np.arange(1, len(labels) + 1)).mean())


def _measure_answered(
    right: NDArray[np.bool_],
    probabilities: Probabilities,
    weights: Weights,
    operating_points: Mapping[LabelId, float] | None,
) -> dict[str, Interval]:
    """Measure what `app.reading.judge` answers with `ok`."""
    if operating_points is None:
        return {}
    points = np.array([operating_points[label] for label in LABEL_IDS])
    reached = probabilities >= points
    rows = np.arange(len(probabilities))
    answered = (reached.sum(1) == 1) & reached[rows, probabilities.argmax(1)]
    return {
        "answered": _interval(_share(answered, np.ones_like(answered), weights)),
        "accuracy_answered": _interval(_share(right & answered, answered, weights)),
    }


def measure_tasks(
    labels: Labels,
    probabilities: Probabilities,
    patients: Sequence[str],
    sources: Sequence[str],
    seed: int = 0,
) -> dict[str, Task]:
    """Compute the two tasks of Kermany et al. 2018.

    Pneumonia against normal and bacterial against viral, on the images of those labels from
    every source that has all three; none, if no source has. The scores are ``1 - normal`` and
    viral's share of bacterial plus viral; what is above 0.5 is called positive.
    """
    named = np.array(sources)
    wanted = [_NORMAL, _BACTERIAL, _VIRAL]
    complete = [
        source for source in set(sources) if set(wanted) <= set(labels[named == source].tolist())
    ]
    held = np.isin(named, complete) & np.isin(labels, wanted)
    if not held.any():
        return {}
    exact = _normalise(probabilities)
    sick = held & (labels != _NORMAL)
    viral_share = exact[:, _VIRAL] / np.maximum(exact[:, [_BACTERIAL, _VIRAL]].sum(1), 1e-12)
    parts = {
        "pneumonia_vs_normal": (held, labels != _NORMAL, 1 - exact[:, _NORMAL]),
        "viral_vs_bacterial": (sick, labels == _VIRAL, viral_share),
    }
    names = np.array(patients)
    return {
        name: _measure_task(positive[rows], scores[rows], names[rows].tolist(), seed)
        for name, (rows, positive, scores) in parts.items()
    }


def _measure_task(
    positive: NDArray[np.bool_], scores: Figures, patients: Sequence[str], seed: int
) -> Task:
    weights = _draw_patients(positive.astype(np.int64), patients, seed)
    called = scores > 0.5  # noqa: PLR2004 - more likely than not
    return Task(
        images=len(positive),
        patients=len(set(patients)),
        auroc=_interval(auroc(positive, scores, weights)),
        accuracy=_interval(_share(called == positive, np.ones_like(positive), weights)),
        sensitivity=_interval(_share(called & positive, positive, weights)),
        specificity=_interval(_share(~called & ~positive, ~positive, weights)),
    )


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_], weights: Weights) -> Figures:
    """Weigh `part` against `whole` in each resample; NaN where nothing is in the whole."""
    total = weights @ whole
    shares: Figures = np.full(len(total), np.nan)
    np.divide(weights @ part, total, out=shares, where=total > 0)
    return shares


def _interval(figures: Figures) -> Interval:
    """Make an interval of a figure: the first entry is its value, the rest are resamples.

    Resamples in which it is undefined are left out; 0 where it is undefined in all.
    """
    defined = figures[1:][~np.isnan(figures[1:])]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (0.0, 0.0)
    return Interval(value=float(np.nan_to_num(figures[0])), low=float(low), high=float(high))


def _by_label(figures: Mapping[int, Figures]) -> dict[LabelId, Interval]:
    return {LABEL_IDS[index]: _interval(values) for index, values in figures.items()}


def _normalise(probabilities: Probabilities) -> Figures:
    """Make float32 rows sum to 1 in float64 too; scikit-learn warns of those that don't."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return exact


def _draw_patients(labels: Labels, patients: Sequence[str], seed: int) -> Weights:
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
