"""The loss of images whose label is known, known as one of several, or none of the four."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.config import LABELS, Config

_POWERS: Final = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}


def label_losses(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    smoothing: float,
    whole: Tensor | None = None,
) -> Tensor:
    """Return the loss of each image, by its weight: their sum is the batch's loss.

    Minus the log of what the labels that an image may have get together, smoothed as PyTorch's
    cross-entropy is: of an image of one label it is that. An image of another finding is to be
    as likely of every label (outlier exposure: Hendrycks et al. 2019, "Deep Anomaly Detection
    with Outlier Exposure").

    Parameters
    ----------
    logits : float32 [N, 4]
    targets : [N, 4], 1 for each label that an image may have, else 0; none: another finding
    weights : [4], of each label; an image has the mean weight of its own, another finding of all
    smoothing : share of the truth spread over all labels
    whole : the weight of the whole batch, where these are a part of it; else theirs

    Returns
    -------
    float32 [N], in nats
    """
    log_probabilities = F.log_softmax(logits, 1)
    weight = weigh_images(targets, weights)
    known = targets.sum(1, keepdim=True) > 0
    outside = known & (targets == 0)
    together = torch.logsumexp(log_probabilities.masked_fill(outside, -torch.inf), 1)
    spread = (log_probabilities * weights).mean(1)
    labelled = (1 - smoothing) * weight * together + smoothing * spread
    uniform = weight * log_probabilities.mean(1)
    total = weight.sum() if whole is None else whole
    return -torch.where(known[:, 0], labelled, uniform) / total


def weigh_images(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each image, [N], of targets and weights as of `label_losses`."""
    among = targets.sum(1, keepdim=True)
    own = torch.where(among > 0, targets / among.clamp(min=1), 1 / len(LABELS))
    return (own * weights).sum(1)


def weigh_labels(labels: NDArray[np.int64], config: Config) -> Tensor:
    """Weigh each label by a power of 1 over its share, mean 1 over the images: float32 [4].

    Parameters
    ----------
    labels : of the training images that have one label each
    """
    counts = np.bincount(labels, minlength=len(LABELS))
    weights = 1 / np.maximum(counts, 1) ** _POWERS[config.class_weights]
    weights *= counts.sum() / (weights * counts).sum()
    return torch.from_numpy(weights.astype(np.float32))
