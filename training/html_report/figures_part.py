"""The parts of a report with its figures: at a glance, learning, labels told apart, calibration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.model.labels import LABEL_IDS
from app.model.measured.figures import Metrics
from training.asking.asking import Asked
from training.html_report.html_elements import (
    Html,
    paragraph,
    picture,
    plot,
    section,
    show_interval,
    table,
)
from training.html_report.material import Material
from training.report.plots import PLOTS, draw_all
from training.run.history import kept_epoch
from training.run.progress import draw_curves

_SAID: Final = (
    "Rows are what the film shows, columns what was called.",
    "Each label against the rest. The dashed line is chance.",
    "Each label against the rest; precision depends on how common a label is in these images.",
    "Bins of as many images each; bars are what chance alone would show.",
    "The most confident first. The point is what is answered `ok`.",
)


def list_splits(found: Material) -> dict[str, Metrics]:
    """Return the figures there are by split: those of this report, and the card's of others."""
    told: dict[str, Metrics] = {}
    if found.asked:
        told[found.asked.split] = found.asked.figures
    if found.bundle:
        told |= {
            split: figures
            for split, figures in found.bundle.card.metrics.items()
            if split not in told
        }
    return told


def describe_glance(found: Material) -> Html:
    """Write out a split's figures at a glance: this report's, or the card's test."""
    told = list_splits(found)
    if not told:
        return ""
    split = found.asked.split if found.asked else "test" if "test" in told else next(iter(told))
    figures = told[split]
    tiles = {
        "accuracy": show_interval(figures.accuracy),
        "macro-AUROC": show_interval(figures.macro_auroc),
    }
    if figures.ece is not None and figures.ece_by_chance_95 is not None:
        tiles["ECE"] = (
            f"{figures.ece:.3f} <small>(by chance below {figures.ece_by_chance_95:.3f})</small>"
        )
    if figures.answered and figures.accuracy_answered:
        tiles["answered ok"] = show_interval(figures.answered)
        tiles["right of those"] = show_interval(figures.accuracy_answered)
    if figures.refused:
        tiles["refused"] = show_interval(figures.refused)
    shown = "".join(
        f"<div class='tile'>{name}<b>{value.replace(' <small>', '</b><small>', 1)}"
        + ("" if " <small>" in value else "</b>")
        + "</div>"
        for name, value in tiles.items()
    )
    where = f"{split.replace('_', ' ')}: {figures.images} images of {figures.patients} patients"
    return paragraph(f"{where}, with 95 % intervals by patient.") + (
        f"<div class='tiles'>{shown}</div>"
    )


def describe_learning(found: Material) -> Html:
    """Write out the learning curves."""
    if not found.run:
        return ""
    run = found.run
    kept = kept_epoch(run.history, run.config.keep).epoch
    minutes = sum(epoch.seconds for epoch in run.history) / 60
    how = "the last" if run.config.keep == "last" else "best validation macro-AUROC"
    caption = (
        f"{len(run.history)} of {run.config.epochs} epochs, {minutes:.0f} minutes. Epoch {kept} "
        f"was kept ({how}). Training's loss is of weighted, augmented images: not to be compared."
    )
    return section(
        "learning", "Learning", [plot(draw_curves(run.history, kept), caption, broad=True)]
    )


def describe_figures(found: Material) -> Html:
    """Write out how well labels are told apart, and how far probabilities can be believed."""
    told = list_splits(found)
    if not told:
        return ""
    rows = [
        [
            split.replace("_", " "),
            m.images,
            m.patients,
            m.accuracy,
            m.balanced_accuracy,
            m.macro_auroc,
            f"{m.nll:.3f}",
        ]
        for split, m in told.items()
    ]
    head = ["split", "images", "patients", "accuracy", "balanced accuracy", "macro-AUROC", "NLL"]
    return section(
        "figures",
        "Figures",
        [
            paragraph(f"Asked for this report: {found.asked.how}.") if found.asked else "",
            table(head, rows, "The served graph is int8; `fp32` is what it was quantised from."),
            *_describe_labels(told, found.asked),
            *_draw_answers(found.asked, found.bundle_folder),
            *_describe_calibration(told),
            *_describe_tasks(told),
        ],
    )


def _describe_labels(told: Mapping[str, Metrics], asked: Asked | None) -> list[Html]:
    split = asked.split if asked else "test" if "test" in told else next(iter(told))
    m = told[split]
    rows: list[list[object]] = [
        [
            label,
            sum(m.confusion[row]),
            m.sensitivity[label],
            m.specificity[label],
            m.precision.get(label) or "",
            m.auroc[label],
        ]
        for row, label in enumerate(LABEL_IDS)
    ]
    head = ["label", "images", "sensitivity", "specificity", "precision", "AUROC"]
    return [table(head, rows, f"One label against the rest: {split}.")]


def _draw_answers(asked: Asked | None, folder: Path | None) -> list[Html]:
    if asked:
        told = asked.predictions
        drawn = draw_all(told.truths, told.probabilities, asked.figures, asked.split)
        shown = [
            plot(figure, said, broad=name == "reliability.png")
            for figure, said, name in zip(drawn, _SAID, PLOTS, strict=True)
        ]
        return ["<div class='plots'>", *shown[:3], shown[4], "</div>", shown[3]]
    paths = [folder / name for name in PLOTS] if folder else []
    pictures = [
        f"<figure>{picture(path.read_bytes(), 'png', path.stem)}<figcaption>{said}</figcaption>"
        "</figure>"
        for path, said in zip(paths, _SAID, strict=bool(folder))
        if path.is_file()
    ]
    if not pictures:
        return []
    return [
        paragraph("The bundle's own plots, drawn when it was made, of the test split."),
        "<div class='plots'>",
        *pictures,
        "</div>",
    ]


def _describe_calibration(told: Mapping[str, Metrics]) -> list[Html]:
    rows = [
        [
            split.replace("_", " "),
            *(f"{value:.3f}" for value in (m.ece, m.ece_by_chance, m.ece_by_chance_95) if value),
            "above what chance shows" if m.ece > m.ece_by_chance_95 else "as chance shows",
            f"{m.before_temperature.ece:.3f}" if m.before_temperature else "",
        ]
        for split, m in told.items()
        if m.ece is not None and m.ece_by_chance is not None and m.ece_by_chance_95 is not None
    ]
    head = ["split", "ECE", "by chance", "95 % stay below", "so", "before the temperature"]
    text = "Calibration: expected error of the confidence, in 15 bins of as many images."
    return ["<h3>Calibration</h3>", table(head, rows, text)] if rows else []


def _describe_tasks(told: Mapping[str, Metrics]) -> list[Html]:
    rows = [
        [
            name.replace("_", " "),
            split.replace("_", " "),
            task.images,
            task.auroc,
            task.sensitivity,
            task.specificity,
        ]
        for split, m in told.items()
        if not split.endswith("fp32")
        for name, task in m.tasks.items()
    ]
    head = ["task", "split", "images", "AUROC", "sensitivity", "specificity"]
    return ["<h3>Two kinds told apart</h3>", table(head, rows)] if rows else []
