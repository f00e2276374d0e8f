"""What would be answered `ok`: serving's rule, for many images at once."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.model.card import Certainty
from app.model.labels import LABEL_IDS, LabelId


def measure_lead(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far the likeliest label of each image, [N, 4], is ahead of the next: [N]."""
    second, first = np.sort(probabilities.astype(np.float64), axis=1)[:, -2:].T
    return np.asarray(first - second)


def find_answered(
    probabilities: NDArray[np.floating],
    operating_points: Mapping[LabelId, float] | None,
    certainty: Certainty | None = None,
) -> NDArray[np.bool_] | None:
    """Tell which images are answered `ok`, by their probabilities alone: bool [N].

    With `certainty` where `Certainty.find_doubts` finds none; without it, if the label called is
    the only one that reaches its operating point. None without either: nothing is withheld then.
    Age and view, which serving asks for too, are not known here.

    Parameters
    ----------
    probabilities : [N, 4], in the order of `LABEL_IDS`
    """
    rows = np.arange(len(probabilities))
    called = probabilities.argmax(1)
    points = np.array([operating_points[label] if operating_points else 0.0 for label in LABEL_IDS])
    reached = probabilities.astype(np.float64) >= points
    if certainty is None:
        if operating_points is None:
            return None
        alone: NDArray[np.bool_] = (reached.sum(1) == 1) & reached[rows, called]
        return alone
    floors = np.array([certainty.floors[label] for label in LABEL_IDS])
    high = (probabilities.astype(np.float64) >= floors) & (floors < 1) & reached
    clear: NDArray[np.bool_] = high[rows, called] & (
        measure_lead(probabilities) >= certainty.margin
    )
    return clear
