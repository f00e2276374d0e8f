"""The plots of a model card, as PNG."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from app.model.card import Certainty
from app.model.measured.figures import Changed, Deletion, Interval, TradeOff
from training.config import LABELS
from training.files import write_whole
from training.metrics.reliability import BINS, bin_by_rank

mpl.use("Agg")

PLOTS = (
    "confusion.png",
    "roc.png",
    "precision-recall.png",
    "reliability.png",
    "risk-coverage.png",
)

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
    save_figure(figure, path)


def plot_all(labels: NDArray[np.int64], probabilities: NDArray[np.float32], folder: Path) -> None:
    """Draw every plot of `PLOTS` for `labels` [N] and `probabilities` [N, 4]."""
    classes = range(len(LABELS))
    counts = confusion_matrix(labels, probabilities.argmax(1), labels=classes).tolist()
    plot_confusion(counts, folder / "confusion.png")
    plot_roc(labels, probabilities, folder / "roc.png")
    plot_precision_recall(labels, probabilities, folder / "precision-recall.png")
    plot_reliability(labels, probabilities, folder / "reliability.png")
    plot_risk_coverage(labels, probabilities, folder / "risk-coverage.png")


def plot_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path) -> None:
    """Draw each label's ROC curve against the rest; `labels` [N], `probabilities` [N, 4]."""
    curves = [roc_curve(labels == i, probabilities[:, i])[:2] for i in range(len(LABELS))]
    figure, axes = _draw_each_label(curves, "1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.legend(loc="lower right")
    save_figure(figure, path)


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
    save_figure(figure, path)


def plot_reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path
) -> None:
    """Draw how often what is said comes true, in bins of as many images: overall, each label."""
    figure, grid = plt.subplots(2, 3, figsize=(9.6, 6.2), layout="constrained")
    panels: list[tuple[str, NDArray[np.bool_], NDArray[np.float32]]] = [
        ("label called", probabilities.argmax(1) == labels, probabilities.max(1)),
        *((label.en, labels == i, probabilities[:, i]) for i, label in enumerate(LABELS)),
    ]
    for axes, (title, happened, said) in zip(grid.flat, panels, strict=False):
        bins = bin_by_rank(said)
        x, y = (np.array([values[rows].mean() for rows in bins]) for values in (said, happened))
        spread = 1.96 * np.sqrt(y * (1 - y) / [len(rows) for rows in bins])
        axes.errorbar(x, y, yerr=spread, fmt="o", markersize=4, capsize=2)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1.05), xlabel="said", ylabel="came true")
        axes.grid(alpha=0.3)
    last = grid.flat[-1]
    last.hist(probabilities.max(1), bins=BINS, range=(0, 1), edgecolor="white")
    last.set(title="confidence", xlabel="highest probability", ylabel="images")
    save_figure(figure, path)


def plot_risk_coverage(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path
) -> None:
    """Draw the share of errors among the answers kept, the most confident first."""
    order = np.argsort(-probabilities.max(1), kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    kept = np.arange(1, len(labels) + 1)
    figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
    axes.plot(kept / len(labels), wrong.cumsum() / kept)
    axes.set(xlabel="share answered", ylabel="errors among those", xlim=(0, 1), ylim=(0, None))
    axes.grid(alpha=0.3)
    save_figure(figure, path)


def plot_deletion(deletion: Deletion, path: Path) -> None:
    """Draw what is left of the called label's probability, deleting by the map or at random."""
    figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
    for name, means in (("what the map marks", deletion.marked), ("at random", deletion.random)):
        axes.plot(deletion.shares, means, "o-", label=name)
    axes.set(xlabel="share of the image deleted", ylabel="probability of the label called")
    axes.set_ylim(0, 1)
    axes.legend()
    axes.grid(alpha=0.3)
    save_figure(figure, path)


def plot_changes(changed: Mapping[str, Changed], unchanged: Interval, path: Path) -> None:
    """Draw accuracy, with its interval, under each change of the images."""
    rows = {"unchanged": unchanged} | {name: row.accuracy for name, row in changed.items()}
    places = np.arange(len(rows))[::-1]
    figure, axes = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    values = np.array([[row.value, row.low, row.high] for row in rows.values()])
    reach = np.abs(values[:, 1:] - values[:, :1]).T
    axes.errorbar(values[:, 0], places, xerr=reach, fmt="o", capsize=3)
    axes.axvline(unchanged.value, color="grey", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [name.replace("_", " ") for name in rows])
    axes.set_xlabel("accuracy, with 95 % interval")
    axes.grid(alpha=0.3)
    save_figure(figure, path)


def plot_trade_off(points: Sequence[TradeOff], certainty: Certainty, path: Path) -> None:
    """Draw what is wrong among `ok` answers against how many there are, and what was chosen."""
    figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
    answered, wrong = ([getattr(each, name) for each in points] for name in ("answered", "wrong"))
    axes.plot(answered, wrong, ".-", label="one floor for every label")
    reach = [
        [certainty.wrong.value - certainty.wrong.low],
        [certainty.wrong.high - certainty.wrong.value],
    ]
    axes.errorbar(
        certainty.answered.value,
        certainty.wrong.value,
        yerr=reach,
        fmt="o",
        capsize=3,
        label="chosen",
    )
    axes.axhline(certainty.risk, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="share answered `ok`", ylabel="wrong among those", xlim=(0, 1), ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    save_figure(figure, path)


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


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, and close it.

    Without the software's version in it, the same figures give the same file.
    """
    picture = io.BytesIO()
    figure.savefig(picture, dpi=_DPI, format="png", metadata={"Software": None})
    plt.close(figure)
    write_whole(path, picture.getvalue())
