"""The plots of one split's answers: what was called, how well labels are told apart, and believed.

`labels` are int64 [N], `probabilities` float32 [N, 4] everywhere; `figures` are the figures of the
same images.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from app.model.measured.figures import Metrics
from training.config import LABELS
from training.metrics.reliability import BINS, bin_by_rank
from training.report.plot_style import FAINT, entitle, new_plot, save_figure, styled

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]

PLOTS = (
    "confusion.png",
    "roc.png",
    "precision-recall.png",
    "reliability.png",
    "risk-coverage.png",
)

_DARK: Final = 0.5


def plot_all(
    labels: Labels, probabilities: Probabilities, figures: Metrics, split: str, folder: Path
) -> None:
    """Draw every plot of `PLOTS` into a folder."""
    drawn = draw_all(labels, probabilities, figures, split)
    for name, figure in zip(PLOTS, drawn, strict=True):
        save_figure(figure, folder / name)


def draw_all(
    labels: Labels, probabilities: Probabilities, figures: Metrics, split: str
) -> list[Figure]:
    """Draw every plot of `PLOTS`, in their order."""
    return [
        draw_confusion(figures.confusion, split),
        draw_roc(labels, probabilities, figures, split),
        draw_precision_recall(labels, probabilities, split),
        draw_reliability(labels, probabilities, figures, split),
        draw_risk_coverage(labels, probabilities, figures, split),
    ]


@styled()
def draw_confusion(confusion: list[list[int]], split: str) -> Figure:
    """Draw counts [truth][prediction], shaded by the share of each truth."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    title = entitle("What was called", split, int(counts.sum()))
    figure, axes = new_plot(5.6, 4.8, title)
    axes.grid(visible=False)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axes.set_aspect("equal")
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > _DARK else "black"
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour)
    names = [label.en.replace(" ", "\n") for label in LABELS]
    axes.set_xticks(np.arange(len(names)) + 0.5, names)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


@styled()
def draw_roc(labels: Labels, probabilities: Probabilities, figures: Metrics, split: str) -> Figure:
    """Draw each label's ROC curve against the rest; the legend tells the area under it."""
    curves = [roc_curve(labels == i, probabilities[:, i])[:2] for i in range(len(LABELS))]
    figure, axes = new_plot(5.2, 4.8, entitle("ROC", split, len(labels)))
    areas = [figures.auroc[label.id] for label in LABELS]
    told = [f": {area.value:.3f} ({area.low:.3f} to {area.high:.3f})" for area in areas]
    _draw_each_label(axes, curves, told)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    _draw_diagonal(axes)
    axes.legend(loc="lower right", title="AUROC with 95 % interval", title_fontsize=8.5)
    return figure


@styled()
def draw_precision_recall(labels: Labels, probabilities: Probabilities, split: str) -> Figure:
    """Draw each label's precision against its sensitivity (recall)."""
    curves = [
        precision_recall_curve(labels == i, probabilities[:, i])[1::-1] for i in range(len(LABELS))
    ]
    figure, axes = new_plot(5.2, 4.8, entitle("Precision and recall", split, len(labels)))
    common = [f": {(labels == i).mean():.0%} of the images" for i in range(len(LABELS))]
    _draw_each_label(axes, curves, common)
    axes.set(xlabel="sensitivity (recall)", ylabel="precision", ylim=(0, 1.02))
    axes.legend(loc="lower left")
    return figure


@styled()
def draw_reliability(
    labels: Labels, probabilities: Probabilities, figures: Metrics, split: str
) -> Figure:
    """Draw how often what is said comes true, in bins of as many images: overall, each label."""
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    grid = figure.subplots(2, 3)
    title = entitle("Reliability", split, len(labels))
    if figures.ece is not None and figures.ece_by_chance_95 is not None:
        title += (
            f"; ECE {figures.ece:.3f}, by chance below {figures.ece_by_chance_95:.3f} "
            "95 times in 100"
        )
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    panels: list[tuple[str, NDArray[np.bool_], NDArray[np.float32]]] = [
        ("label called", probabilities.argmax(1) == labels, probabilities.max(1)),
        *((label.en, labels == i, probabilities[:, i]) for i, label in enumerate(LABELS)),
    ]
    for axes, (name, happened, said) in zip(grid.flat, panels, strict=False):
        bins = bin_by_rank(said)
        x, y = (np.array([values[rows].mean() for rows in bins]) for values in (said, happened))
        spread = 1.96 * np.sqrt(y * (1 - y) / [len(rows) for rows in bins])
        axes.errorbar(x, y, yerr=spread, fmt="o", markersize=4, capsize=2, color="C2")
        _draw_diagonal(axes)
        axes.set_title(name, fontsize=9.5, fontweight="normal")
        axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="said", ylabel="came true")
        axes.grid(visible=True)
    last = grid.flat[-1]
    last.hist(probabilities.max(1), bins=BINS, range=(0, 1), color="C2", edgecolor="white")
    last.set_title("confidence", fontsize=9.5, fontweight="normal")
    last.set(xlabel="highest probability", ylabel="images")
    return figure


@styled()
def draw_risk_coverage(
    labels: Labels, probabilities: Probabilities, figures: Metrics, split: str
) -> Figure:
    """Draw the share of errors among the answers kept, the most confident first."""
    order = np.argsort(-probabilities.max(1), kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    kept = np.arange(1, len(labels) + 1)
    figure, axes = new_plot(5.2, 4, entitle("Answered against wrong", split, len(labels)))
    axes.plot(kept / len(labels), wrong.cumsum() / kept, color="C2", label="by confidence")
    answered, right = figures.answered, figures.accuracy_answered
    if answered and right:
        axes.plot(answered.value, 1 - right.value, "o", color="C1", label="answered ok")
        axes.legend()
    axes.set(xlabel="share answered", ylabel="errors among those", xlim=(0, 1), ylim=(0, None))
    return figure


def _draw_each_label(
    axes: Axes,
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    told: Sequence[str],
) -> None:
    """Draw one curve (x, y) for each label, in the order of `LABELS`."""
    for (x, y), label, more in zip(curves, LABELS, told, strict=True):
        axes.plot(x, y, label=f"{label.en}{more}")


def _draw_diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
