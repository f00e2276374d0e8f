"""The plots of a model card, as PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from training.checkpoint import Epoch
from training.config import LABELS
from training.files import write_whole
from training.metrics import ECE_BINS, bin_confidence

mpl.use("Agg")

PLOTS = ("confusion.png", "roc.png", "precision-recall.png", "reliability.png")

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


def plot_all(labels: NDArray[np.int64], probabilities: NDArray[np.float32], folder: Path) -> None:
    """Draw every plot of `PLOTS` for `labels` [N] and `probabilities` [N, 4]."""
    classes = range(len(LABELS))
    counts = confusion_matrix(labels, probabilities.argmax(1), labels=classes).tolist()
    plot_confusion(counts, folder / "confusion.png")
    plot_roc(labels, probabilities, folder / "roc.png")
    plot_precision_recall(labels, probabilities, folder / "precision-recall.png")
    plot_reliability(labels, probabilities, folder / "reliability.png")


def plot_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path) -> None:
    """Draw each label's ROC curve against the rest; `labels` [N], `probabilities` [N, 4]."""
    curves = [roc_curve(labels == i, probabilities[:, i])[:2] for i in range(len(LABELS))]
    figure, axes = _draw_each_label(curves, "1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.legend(loc="lower right")
    _save(figure, path)


def plot_precision_recall(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path
) -> None:
    """Draw each label's precision against its sensitivity (recall)."""
    curves = [
        precision_recall_curve(labels == i, probabilities[:, i])[1::-1] for i in range(len(LABELS))
    ]
    figure, axes = _draw_each_label(curves, "sensitivity (recall)", "precision")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    _save(figure, path)


def plot_reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path
) -> None:
    """Draw accuracy against confidence in bins of equal width, and how many images each has."""
    confidence, bins = bin_confidence(probabilities)
    right = probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, ECE_BINS + 1)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(5.2, 5.6), layout="constrained", height_ratios=(3, 1), sharex=True
    )
    counts = np.bincount(bins, minlength=ECE_BINS)
    filled = counts > 0
    means = [np.bincount(bins, values, minlength=ECE_BINS) for values in (confidence, right)]
    x, y = (sums[filled] / counts[filled] for sums in means)
    spread = 1.96 * np.sqrt(y * (1 - y) / counts[filled])
    top.errorbar(x, y, yerr=spread, fmt="o", capsize=3, label="Neumo, with 95 % of chance")
    top.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--", label="perfect")
    top.set_ylabel("accuracy")
    top.set_ylim(0, 1.05)
    top.legend(loc="upper left")
    top.grid(alpha=0.3)
    bottom.bar(edges[:-1], counts, width=1 / ECE_BINS, align="edge", edgecolor="white")
    bottom.set_xlabel("confidence (highest probability)")
    bottom.set_ylabel("images")
    bottom.set_xlim(0, 1)
    _save(figure, path)


def plot_curves(history: Sequence[Epoch], path: Path) -> None:
    """Draw losses, and validation accuracy and macro-AUROC, by epoch."""
    epochs = [epoch.epoch for epoch in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    left.plot(
        epochs,
        [epoch.train_loss for epoch in history],
        "o-",
        label="training (weighted, augmented)",
    )
    left.plot(epochs, [epoch.validation_loss for epoch in history], "o-", label="validation")
    left.set_ylabel("loss (nats)")
    right.plot(epochs, [epoch.validation_accuracy for epoch in history], "o-", label="accuracy")
    right.plot(
        epochs, [epoch.validation_macro_auroc for epoch in history], "o-", label="macro-AUROC"
    )
    right.set_ylabel("validation")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)
    _save(figure, path)


def _draw_each_label(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], across: str, up: str
) -> tuple[Figure, Axes]:
    """Draw one curve (x, y) for each label, in the order of `LABELS`."""
    figure, axes = plt.subplots(figsize=(5.2, 4.8), layout="constrained")
    for (x, y), label in zip(curves, LABELS, strict=True):
        axes.plot(x, y, label=label.en)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    # Without the software's version in it, the same figures give the same file.
    picture = io.BytesIO()
    figure.savefig(picture, dpi=_DPI, format="png", metadata={"Software": None})
    plt.close(figure)
    write_whole(path, picture.getvalue())
