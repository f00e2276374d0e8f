"""The model card: card.json for machines, and from it README.md for people."""

from app.bundle import Card, Interval, LabelId, Metrics

_PLOTS = ("confusion.png", "roc.png")


def render_readme(card: Card) -> str:
    """Write a card out in Markdown; every figure comes from the card."""
    names = ", ".join(label.en for label in card.labels)
    test_sources = card.metrics["test"].accuracy_by_source.items()
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
        "Accuracy on the test images of each source: "
        + ", ".join(f"{source} {value:.3f}" for source, value in test_sources),
        *(f"![{plot.partition('.')[0]}]({plot})" for plot in _PLOTS),
        "## Data",
        _data(card),
        "Images of the fit and validation splits; validation is held out of them by patient.",
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
    lines = ["| label | sensitivity | specificity | AUROC |", "|---|---|---|---|"]
    lines.extend(
        f"| {label} | " + " | ".join(_label_cells(figures, label)) + " |"
        for label in figures.sensitivity
    )
    return "\n".join(lines)


def _label_cells(figures: Metrics, label: LabelId) -> list[str]:
    columns = (figures.sensitivity, figures.specificity, figures.auroc)
    return [_interval(column[label]) for column in columns]


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
