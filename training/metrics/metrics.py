"""Figures of a classifier from labels and probabilities, with intervals by patient."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from app.model.card import Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import Interval, Metrics
from training.metrics.bootstrap import auroc, draw_patients, share
from training.metrics.doubt import find_answered
from training.metrics.intervals import auroc_interval, mean_interval, rate_interval
from training.metrics.reliability import measure_calibration, simulate_calibration_error
from training.metrics.tasks import measure_tasks

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]

_CLASSES: Final = list(range(len(LABEL_IDS)))


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Share of images whose most likely label is the true one."""
    return float((probabilities.argmax(1) == labels).mean())


def macro_auroc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of the four areas under the ROC curve, each label against the rest.

    Of those labels only that some images have, and others not: a network may be trained without
    the one source of a label.
    """
    once = np.ones((1, len(labels)))
    areas = [
        auroc(labels == i, probabilities[:, i], once)[0]
        for i in _CLASSES
        if 0 < (labels == i).sum() < len(labels)
    ]
    return float(np.mean(areas)) if areas else float("nan")


def measure(
    labels: Labels,
    probabilities: Probabilities,
    patients: Sequence[str],
    sources: Sequence[str],
    seed: int = 0,
    operating_points: Mapping[LabelId, float] | None = None,
    refused: NDArray[np.bool_] | None = None,
    uncalibrated: Probabilities | None = None,
    certainty: Certainty | None = None,
) -> Metrics:
    """Compute every figure of the card on one split.

    Parameters
    ----------
    labels : int64 [N], `probabilities` : float32 [N, 4], rows summing to 1
    patients, sources : N names each
    seed : of the bootstrap
    operating_points, certainty : what `ok` asks for; without both nothing is told of answers
        withheld
    refused : [N], what is taken for no chest X-ray; counted here, and in all else like the rest
    uncalibrated : [N, 4], the probabilities before temperature, to tell what it changes

    Raises
    ------
    ValueError
        If a label has no image: its figures are undefined.
    """
    if len(np.unique(labels)) < len(LABEL_IDS):
        raise ValueError("every label needs at least one image")
    weights = draw_patients(labels, patients, seed)
    called = probabilities.argmax(1)
    truths = dict(enumerate(np.eye(len(_CLASSES), dtype=bool)[labels].T))
    calls = dict(enumerate(np.eye(len(_CLASSES), dtype=bool)[called].T))
    everything = np.ones(len(labels), dtype=bool)

    def rate(part: NDArray[np.bool_], whole: NDArray[np.bool_] = everything) -> Interval:
        return rate_interval(part, whole, patients)

    sensitivity = {i: rate(calls[i], truths[i]) for i in _CLASSES}
    found = [share(truths[i] & calls[i], truths[i], weights) for i in _CLASSES]
    areas = [auroc(truths[i], probabilities[:, i], weights) for i in _CLASSES]
    ranked = {i: auroc_interval(truths[i], areas[i], patients) for i in _CLASSES}
    named = np.array(sources)
    right = called == labels
    by_chance, by_chance_95 = simulate_calibration_error(probabilities, seed)
    return Metrics(
        images=len(labels),
        patients=len(set(patients)),
        accuracy=rate(right),
        balanced_accuracy=mean_interval(list(sensitivity.values()), found),
        macro_auroc=mean_interval(list(ranked.values()), areas),
        sensitivity=_by_label(sensitivity),
        specificity=_by_label({i: rate(~calls[i], ~truths[i]) for i in _CLASSES}),
        precision=_by_label({i: rate(truths[i], calls[i]) for i in _CLASSES}),
        auroc=_by_label(ranked),
        **measure_calibration(labels, probabilities).model_dump(),
        ece_by_chance=by_chance,
        ece_by_chance_95=by_chance_95,
        before_temperature=None
        if uncalibrated is None
        else measure_calibration(labels, uncalibrated),
        confusion=confusion_matrix(labels, called, labels=_CLASSES).tolist(),
        accuracy_by_source={
            source: accuracy(labels[named == source], probabilities[named == source])
            for source in sorted(set(sources))
        },
        sensitivity_by_source={
            source: _by_label(
                {
                    i: rate(right, held)
                    for i in _CLASSES
                    if (held := truths[i] & (named == source)).any()
                }
            )
            for source in sorted(set(sources))
        },
        tasks=measure_tasks(labels, probabilities, patients, sources, seed),
        refused=None if refused is None else rate(refused),
        aurc=area_under_risk_coverage(labels, probabilities),
        **_measure_answered(
            right, find_answered(probabilities, operating_points, certainty), patients
        ),
    )


def area_under_risk_coverage(labels: Labels, probabilities: Probabilities) -> float:
    """Mean error over all shares of images answered, the most confident first.

    Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks".
    """
    order = np.argsort(-probabilities.max(1), kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    return float((wrong.cumsum() / np.arange(1, len(labels) + 1)).mean())


def _measure_answered(
    right: NDArray[np.bool_], answered: NDArray[np.bool_] | None, patients: Sequence[str]
) -> dict[str, Interval]:
    if answered is None:
        return {}
    return {
        "answered": rate_interval(answered, np.ones_like(answered), patients),
        "accuracy_answered": rate_interval(right, answered, patients),
    }


def _by_label(figures: Mapping[int, Interval]) -> dict[LabelId, Interval]:
    return {LABEL_IDS[index]: figure for index, figure in figures.items()}
