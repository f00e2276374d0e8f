"""The model card: card.json for machines, and from it README.md for people."""

from collections.abc import Mapping
from pathlib import Path

from app.card import Card, Interval, Metrics
from training.files import appearing_whole
from training.metrics import Labels, Probabilities
from training.plots import PLOTS, plot_all


def write_bundle(
    folder: Path,
    card: Card,
    graphs: Mapping[str, bytes],
    labels: Labels,
    probabilities: Probabilities,
) -> None:
    """Write a bundle whole: graphs by file name, card, README, plots of the test's answers."""
    with appearing_whole(folder) as building:
        for name, graph in graphs.items():
            (building / name).write_bytes(graph)
        (building / "card.json").write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (building / "README.md").write_text(render_readme(card), encoding="utf-8")
        plot_all(labels, probabilities, building)


def render_readme(card: Card) -> str:
    """Write a card out in Markdown; every figure comes from the card."""
    names = ", ".join(label.en for label in card.labels)
    parts = [
        f"# {card.name}",
        (
            f"A ResNet-18 that tells four kinds of frontal chest X-ray apart: {names}. "
            "Generated from `card.json`; do not edit."
        ),
        "## Intended use",
        card.intended_use,
        "## Limitations",
        "\n".join(f"- {line}" for line in card.limitations) or "- none stated",
        "## Figures",
        (
            "Through ONNX Runtime, with 95 % intervals bootstrapped by patient. `test` is the "
            "served int8 graph, `test_fp32` the float32 one it was quantised from. Probabilities "
            f"are calibrated by one temperature ({card.temperature:.3f}), fitted on the "
            "validation split."
        ),
        _figures(card),
        "On the test split, one label against the rest:",
        _per_label(card.metrics["test"]),
        *_by_source(card.metrics["test"]),
        *_tasks(card),
        *_calibration(card),
        *_doubt(card),
        *(f"![{plot.partition('.')[0]}]({plot})" for plot in PLOTS),
        *_quantisation(card),
        "## Data",
        _data(card),
        "Images of the fit and validation splits; validation is held out of them by patient.",
        *_population(card),
        *_priors(card),
        "## Making it again",
        _reproduction(card),
        "## Licence of the weights",
        card.licence,
        f"sha256 of model.onnx: `{card.sha256}`",
    ]
    return "\n\n".join(parts) + "\n"


def _figures(card: Card) -> str:
    lines = [
        "| split | images | patients | accuracy | balanced accuracy | macro-AUROC | NLL |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, figures in card.metrics.items():
        cells = [
            split,
            str(figures.images),
            str(figures.patients),
            _interval(figures.accuracy),
            _interval(figures.balanced_accuracy),
            _interval(figures.macro_auroc),
            f"{figures.nll:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _per_label(figures: Metrics) -> str:
    columns = {
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "precision": figures.precision,
        "AUROC": figures.auroc,
    }
    shown = {name: column for name, column in columns.items() if column}
    rows = [
        [label, *(_interval(column[label]) for column in shown.values())]
        for label in figures.sensitivity
    ]
    return _table(["label", *shown], rows)


def _by_source(figures: Metrics) -> list[str]:
    if not figures.sensitivity_by_source:
        rows = [[source, f"{value:.3f}"] for source, value in figures.accuracy_by_source.items()]
        return ["Accuracy on the test images of each source:", _table(["source", "accuracy"], rows)]
    rows = [
        [source, label, _interval(value)]
        for source, labels in figures.sensitivity_by_source.items()
        for label, value in labels.items()
    ]
    text = "Share of each label's test images called by it, by source:"
    return [text, _table(["source", "label", "called right"], rows)]


def _tasks(card: Card) -> list[str]:
    rows = [
        [
            name.replace("_", " "),
            split,
            str(task.images),
            *map(_interval, (task.auroc, task.accuracy, task.sensitivity, task.specificity)),
        ]
        for split, figures in card.metrics.items()
        for name, task in figures.tasks.items()
    ]
    head = ["task", "split", "images", "AUROC", "accuracy", "sensitivity", "specificity"]
    text = (
        "Telling two kinds of images apart, on images of those kinds only, from sources that have "
        "normal, bacterial and viral ones (Kermany et al. 2018 report an AUROC of 0.968 for "
        "pneumonia and 0.940 for viral against bacterial). The validation split is patients held "
        "out of the training division:"
    )
    return [text, _table(head, sorted(rows))] if rows else []


def _calibration(card: Card) -> list[str]:
    rows = [
        [split, f"{m.nll:.3f}", f"{m.brier:.3f}", f"{m.ece:.3f}", f"{m.ece_by_chance:.3f}"]
        for split, m in card.metrics.items()
        if None not in (m.brier, m.ece, m.ece_by_chance)
    ]
    text = (
        "Calibration. ECE is the expected calibration error in 15 bins; beside it, what perfectly "
        "calibrated answers would show on so many images by chance:"
    )
    return [text, _table(["split", "NLL", "Brier", "ECE", "ECE by chance"], rows)] if rows else []


def _doubt(card: Card) -> list[str]:
    rows = [
        [
            split,
            _interval(m.answered),
            _interval(m.accuracy_answered),
            f"{m.aurc:.4f}",
            _interval(m.refused) if m.refused else "",
        ]
        for split, m in card.metrics.items()
        if m.answered and m.accuracy_answered and m.aurc is not None
    ]
    if not rows or card.operating_points is None:
        return []
    points = ", ".join(f"{label} {point:.3f}" for label, point in card.operating_points.items())
    return [
        "## Doubt",
        (
            "An answer is `ok` if the label called is the only one that reaches its operating "
            f"point, the probability that 95 % of its own validation images reach ({points}); "
            "else it is `uncertain`. AURC is the mean error over all shares answered, the most "
            "confident first."
        ),
        _table(["split", "answered", "accuracy on those", "AURC", "refused"], rows),
        *_refusal(card),
    ]


def _refusal(card: Card) -> list[str]:
    if card.distance_threshold is None:
        return []
    text = (
        "A picture is refused as no frontal chest X-ray if the squared Mahalanobis distance of its "
        f"features to the nearest class of training images is over {card.distance_threshold:.0f}."
    )
    return [text]


def _population(card: Card) -> list[str]:
    if card.population is None:
        return []
    rows = [
        [label, ", ".join(f"{known.low:g} to {known.high:g}" for known in ages)]
        for label, ages in card.population.age_years.items()
    ]
    views = ", ".join(card.population.views)
    return [
        (
            f"Known from patients of these ages, in the views {views}; another age or view makes "
            "an answer `uncertain`:"
        ),
        _table(["label", "age in years"], rows),
    ]


def _priors(card: Card) -> list[str]:
    if card.priors is None:
        return []
    shares = ", ".join(f"{label} {share:.3f}" for label, share in card.priors.items())
    return [f"Probabilities hold where the labels are as common as in validation: {shares}."]


def _quantisation(card: Card) -> list[str]:
    made = card.quantisation
    if made is None:
        return []
    rows = [
        [
            method,
            *(f"{value:.4f}" for value in (figures.macro_auroc, figures.nll, figures.ece)),
            *(f"{value:.4f}" for value in (figures.difference, figures.cam_correlation)),
            f"{figures.labels_kept:.2%}",
        ]
        for method, figures in made.tried.items()
    ]
    head = ["ranges by", "macro-AUROC", "NLL", "ECE", "difference", "map correlation"]
    return [
        "## Quantisation",
        (
            f"Ranges by `{made.method}`: its probabilities are nearest to float32's on the "
            f"validation split, where float32's macro-AUROC is {made.fp32_macro_auroc:.4f}. "
            "`labels kept` counts images on which float32's two best differ by more than 0.1."
        ),
        _table([*head, "labels kept"], rows),
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _data(card: Card) -> str:
    lines = ["| source | licence | " + " | ".join(label.id for label in card.labels) + " |"]
    lines.append("|---|---|" + "---|" * len(card.labels))
    for source in card.training.data:
        counts = " | ".join(str(source.images.get(label.id, 0)) for label in card.labels)
        lines.append(f"| {source.source} | {source.licence} | {counts} |")
    return "\n".join(lines)


def _reproduction(card: Card) -> str:
    training = card.training
    environment = ", ".join(f"{name} {version}" for name, version in training.environment.items())
    return (
        f"    {training.command}\n\n"
        f"Commit {training.commit}, {training.date}, {training.duration_s / 60:.0f} minutes. "
        f"Strategy `{training.strategy}`, starting weights `{training.starting_weights}`, "
        f"epoch {training.best_epoch} of {training.epochs} kept (best validation macro-AUROC), "
        f"seed {training.seed}. {environment}."
    )


def _interval(figure: Interval) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
