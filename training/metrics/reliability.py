"""How far probabilities can be believed: Brier score and calibration error."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from app.model.labels import LABEL_IDS
from app.model.measured.figures import Calibration

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
Figures = NDArray[np.float64]

LEAST_IMAGES: Final = 100
LEAST_PATIENTS: Final = 20
"""Of each label. From fewer a temperature and operating points are chance."""

BINS: Final = 15
_SIMULATIONS: Final = 200
_CLASSES: Final = list(range(len(LABEL_IDS)))


def can_calibrate(labels: Labels, patients: Sequence[str]) -> bool:
    """Tell whether a validation split has the images, and each label the patients, to choose by."""
    pairs = {*zip(labels.tolist(), patients, strict=True)}
    counts = np.bincount([label for label, _ in pairs], minlength=len(_CLASSES))
    return len(labels) >= LEAST_IMAGES and bool(counts.min() >= LEAST_PATIENTS)


def measure_calibration(labels: Labels, probabilities: Probabilities) -> Calibration:
    """Return negative log-likelihood (nats), Brier score and ECE of answers [N, 4]."""
    return Calibration(
        nll=float(log_loss(labels, normalise(probabilities), labels=_CLASSES)),
        brier=brier(labels, probabilities),
        ece=expected_calibration_error(labels, probabilities),
    )


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Mean squared distance between the probabilities and the truth, from 0 to 2 (Brier 1950)."""
    truth = np.eye(len(_CLASSES))[labels]
    return float(((probabilities - truth) ** 2).sum(1).mean())


def expected_calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Mean gap between confidence and accuracy over 15 bins of as many images each.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", with equal-mass bins (Nixon et
    al. 2019, "Measuring Calibration in Deep Learning"): equal widths leave most bins empty.
    """
    right = probabilities.argmax(1) == labels
    confidence = probabilities.max(1).astype(np.float64)
    gaps = [(right[rows] - confidence[rows]).sum() for rows in bin_by_rank(confidence)]
    return float(np.abs(gaps).sum() / len(labels))


def bin_by_rank(scores: NDArray[np.floating]) -> list[NDArray[np.int64]]:
    """Return the rows of each of `BINS` bins of as many scores, lowest first; none is empty."""
    order = np.argsort(scores, kind="stable")
    return np.array_split(order, min(BINS, len(scores)))


def simulate_calibration_error(probabilities: Probabilities, seed: int = 0) -> tuple[float, float]:
    """Return mean and 95th percentile of the ECE if the probabilities were exactly right.

    Labels are drawn from them. On a few hundred images the ECE is then well above 0; a measured
    one is to be compared with it.
    """
    generator = np.random.default_rng(seed)
    bounds = normalise(probabilities).cumsum(1)
    draws = generator.random((_SIMULATIONS, len(probabilities), 1))
    simulated = (draws > bounds).sum(2).clip(max=len(_CLASSES) - 1)
    errors = [expected_calibration_error(row, probabilities) for row in simulated]
    return float(np.mean(errors)), float(np.percentile(errors, 95))


def normalise(probabilities: Probabilities) -> Figures:
    """Make float32 rows sum to 1 in float64 too; scikit-learn warns of those that don't."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return exact
