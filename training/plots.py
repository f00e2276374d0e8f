"""The plots of a model card, as PNG."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from training.config import LABELS

mpl.use("Agg")

_DPI = 110
_DARK = 0.5


def plot_confusion(confusion: list[list[int]], path: Path) -> None:
    """Draw counts [truth][prediction], shaded by the share of each truth."""
    counts = np.array(confusion)
    shares = counts / counts.sum(1, keepdims=True)
    figure, axes = plt.subplots(figsize=(5.6, 4.8), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > _DARK else "black"
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    names = [label.en.replace(" ", "\n") for label in LABELS]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    _save(figure, path)


def plot_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path) -> None:
    """Draw each label's ROC curve against the rest; `labels` [N], `probabilities` [N, 4]."""
    figure, axes = plt.subplots(figsize=(5.2, 4.8), layout="constrained")
    for index, label in enumerate(LABELS):
        false_positive, sensitivity, _ = roc_curve(labels == index, probabilities[:, index])
        axes.plot(false_positive, sensitivity, label=label.en)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # Without the software's version in it, the same figures give the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    plt.close(figure)
