"""Calibration: the temperature, and what the distance is measured against.

Both come from the outputs of the very graph that is served, not from PyTorch's.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression

from app.model.labels import LabelId
from training.config import LABELS
from training.metrics.weighting import weigh_evenly

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

SENSITIVITY: Final = 0.95
"""That operating points are chosen for, on validation."""

DISTANCE_ROOM: Final = 1.2
REFUSED: Final = 0.05
"""Share of the X-rays of sources held out that may be refused."""

UPRIGHT_THRESHOLD: Final = 0.1
"""Refused as turned or inverted is what is upright with less than this probability."""

_ROUNDING: Final = 1e-9  # 1 - 0.9 is a little under a tenth
_ORIENTATION_C: Final = 0.01
_LOG_BOUNDS: Final = (-3.0, 3.0)


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Return the temperature that minimises the negative log-likelihood.

    Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Parameters
    ----------
    logits : [N, 4], labels : [N], both of the validation split
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scores[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_BOUNDS, method="bounded").x))


def fit_distance(pooled: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Fit a Mahalanobis distance to class means with one covariance for all classes.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples";
    the covariance is shrunk after Ledoit and Wolf 2004.

    Parameters
    ----------
    pooled : [N, 512] features of training images, labels : [N]

    Returns
    -------
    whitening : [512, 512]; ``pooled @ whitening`` has unit covariance within a class
    centres : [4, 512], the whitened class means; of those labels only that have an image
    """
    features = pooled.astype(np.float64)
    _, own = np.unique(labels, return_inverse=True)
    means = np.stack([features[own == index].mean(0) for index in range(own.max() + 1)])
    covariance = (
        LedoitWolf(assume_centered=True, store_precision=False)
        .fit(features - means[own])
        .covariance_
    )
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(values)
    return whitening.astype(np.float32), (means @ whitening).astype(np.float32)


def fit_orientation(whitened: Floats, orientations: Labels) -> tuple[Floats, Floats]:
    """Fit a multinomial logistic regression that tells how an X-ray was turned.

    Parameters
    ----------
    whitened : [N, 512] features of training images, turned and as they are
    orientations : [N], indices into `app.model.card.ORIENTATIONS`

    Returns
    -------
    weights [512, 5], bias [5]
    """
    told = LogisticRegression(C=_ORIENTATION_C, max_iter=1000).fit(whitened, orientations)
    return told.coef_.T.astype(np.float32), told.intercept_.astype(np.float32)


def fit_operating_points(
    probabilities: Floats, labels: Labels, sensitivity: float = SENSITIVITY
) -> dict[LabelId, float]:
    """Return the probability of each label that `sensitivity` of its new images reach, or more.

    The labels that reach theirs are then a set that holds the true one so often, whatever it
    is (class-conditional conformal prediction: Vovk 2012, "Conditional Validity of Inductive
    Conformal Predictors"). Of n images that is the one of rank floor((1 - sensitivity)(n + 1)),
    the lowest being 1; of too few for that rank there is none, and the point is 0.

    Parameters
    ----------
    probabilities : [N, 4], labels : [N], both of the validation split
    """
    points = {}
    for index, label in enumerate(LABELS):
        own = np.sort(probabilities[labels == index, index].astype(np.float64))
        rank = int((1 - sensitivity) * (len(own) + 1) + _ROUNDING)
        point = own[rank - 1] if rank else 0.0
        points[label.id] = np.floor(point * 1e6) / 1e6  # so that the image it comes from stays in
    return points


def fit_distance_threshold(distances: Floats, factor: float = DISTANCE_ROOM) -> float:
    """Return the distance above which a picture is no frontal chest X-ray.

    The 99 % quantile of the validation split's times `factor`: X-rays of hospitals that are in no
    split lie further out than those of one that is. How much further `fit_distance_factor` tells;
    a fifth is a guess.
    """
    return float(factor * np.quantile(distances.astype(np.float64), 0.99))


def label_priors(labels: Labels) -> dict[LabelId, float]:
    """Return the share of each label among the images that probabilities are calibrated on."""
    shares = np.bincount(labels, minlength=len(LABELS)) / len(labels)
    return {label.id: float(share) for label, share in zip(LABELS, shares, strict=True)}


def fit_even_temperature(
    logits: Floats, targets: NDArray[np.bool_], sources: Sequence[str]
) -> float:
    """Return the temperature that minimises the sources' mean negative log-likelihood.

    Each source counts alike, however many images it has; a set of labels is as likely as their
    sum, and images of none of the labels tell nothing here. Of no image at all it is 1.

    Parameters
    ----------
    logits : [N, 4]
    targets : bool [N, 4], the labels that each image may have
    sources : N names
    """
    told = np.asarray(targets.any(1))
    if not told.any():
        return 1.0
    weights = weigh_evenly(np.array(sources)[told].tolist())
    masked = np.where(targets[told], 0.0, -np.inf)
    exact = logits[told].astype(np.float64)

    def loss(log_temperature: float) -> float:
        scores = log_softmax(exact / np.exp(log_temperature), axis=1)
        return float(-weights @ logsumexp(scores + masked, axis=1))

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_BOUNDS, method="bounded").x))


def fit_distance_factor(
    held_out: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> float:
    """Return how many times further out than validation X-rays of a new hospital may lie.

    The factor beyond which 5 % of held-out sources' X-rays lie, each source counting alike: over
    it of one odd source more is refused, under it of the others less. Never under 1. Distances
    are taken over the 99 % quantile of the fold's validation, which is of the same network.

    Parameters
    ----------
    held_out : of each source, its distances [N] and its fold's validation's [M]
    """
    if not held_out:
        return DISTANCE_ROOM
    ratios = [own / np.quantile(validation, 0.99) for own, validation in held_out]
    weights = np.concatenate([np.full(len(own), 1 / len(own)) for own in ratios])
    pooled = np.concatenate(ratios)
    order = np.argsort(pooled)
    beyond = 1 - weights[order].cumsum() / len(ratios)
    return max(1.0, float(pooled[order][np.argmax(beyond <= REFUSED + _ROUNDING)]))
