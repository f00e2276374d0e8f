"""A temperature of a hospital's own, where its films show that it helps."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.acceptance.survey import Seen
from app.model.card import Card
from app.model.labels import LABEL_IDS

Floats = NDArray[np.float64]

_FOLDS: Final = 5
_LEAST_PATIENTS: Final = 40
_DEVIATIONS: Final = 1.645
"""That the gain has to be over nothing: one in twenty would be by chance."""

_LOG_BOUNDS: Final = (-1.4, 1.4)  # a quarter to four times
_HALVINGS: Final = 40
_GOLDEN: Final = (5**0.5 - 1) / 2


def fit_site_temperature(seen: Sequence[Seen], card: Card) -> float | None:
    """Return a temperature that answers to held-out films are better with; mostly None.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", by the likelihood of the label, or
    of the set of labels, that is known. Of five parts, by patient, each is answered with the
    temperature of the others: the mean gain over the card's has to be beyond chance. None where
    films are few or of one label; films labelled `other` tell nothing of the four.
    """
    told = [each for each in seen if each.outputs is not None and each.film.labels]
    patients = list(dict.fromkeys(each.film.patient for each in _by_label(told)))
    if len({each.film.label for each in told}) == 1 or len(patients) < _LEAST_PATIENTS:
        return None
    part_of = {patient: index % _FOLDS for index, patient in enumerate(patients)}
    folds = np.array([part_of[each.film.patient] for each in told])
    logits = np.array(
        [[each.outputs.logits[label] for label in LABEL_IDS] for each in told if each.outputs],
        np.float64,
    )
    known = np.array([[label in each.film.labels for label in LABEL_IDS] for each in told])
    gains = np.zeros(len(told))
    for fold in range(_FOLDS):
        inside, outside = folds == fold, folds != fold
        fitted = _fit(logits[outside], known[outside])
        gains[inside] = _losses(logits[inside], known[inside], card.temperature) - _losses(
            logits[inside], known[inside], fitted
        )
    _, owners = np.unique([each.film.patient for each in told], return_inverse=True)
    means = np.bincount(owners, weights=gains) / np.bincount(owners)
    error = means.std(ddof=1) / len(means) ** 0.5
    return round(_fit(logits, known), 6) if means.mean() > _DEVIATIONS * error else None


def _by_label(seen: Sequence[Seen]) -> list[Seen]:
    """Sort by label, so that every part gets some of each."""
    return sorted(seen, key=lambda each: (each.film.label, each.film.row))


def _losses(logits: Floats, known: NDArray[np.bool_], temperature: float) -> Floats:
    """Return minus the logarithm of the probability of what is known, [N], nats."""
    cooled = logits / temperature
    cooled -= cooled.max(1, keepdims=True)
    shares = np.exp(cooled)
    told = (shares * known).sum(1) / shares.sum(1)
    losses: Floats = -np.log(np.maximum(told, 1e-12))
    return losses


def _fit(logits: Floats, known: NDArray[np.bool_]) -> float:
    """Return the temperature of the least mean loss, by golden-section search of its logarithm."""
    low, high = _LOG_BOUNDS
    for _ in range(_HALVINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        losses = [_losses(logits, known, float(np.exp(at))).mean() for at in (left, right)]
        low, high = (low, right) if losses[0] < losses[1] else (left, high)
    return float(np.exp((low + high) / 2))
