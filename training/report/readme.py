"""A bundle's README.md: its card.json, written out for people."""

from typing import Final

from app.model.card import Card
from app.model.measured.figures import Metrics
from training.report.limitations import NOT_CALIBRATED
from training.report.markdown import figure, show_plot, table
from training.report.plots import PLOTS
from training.report.readme_audit import describe_audit
from training.report.readme_holdout import describe_certainty, describe_holdout

_INTERVALS: Final = {
    "percentile": "bootstrapped by patient",
    "score": "by patient, that hold at 0 and 1 too",
}


def render_readme(card: Card) -> str:
    """Write a card out in Markdown; every figure comes from the card."""
    names = ", ".join(label.en for label in card.labels)
    parts = [
        f"# {card.name}",
        (
            f"**Not a medical device.** Licence of the weights: {_first_sentence(card.licence)} "
            "([in full](#licence-of-the-weights))."
        ),
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
            f"Through ONNX Runtime, with 95 % intervals {_INTERVALS[card.intervals]}. `test` is "
            "the served int8 graph, `test_fp32` the float32 one it was quantised from. "
            f"{_describe_probabilities(card)}"
        ),
        _figures(card),
        "On the test split, one label against the rest:",
        _per_label(card.metrics["test"]),
        *_by_source(card.metrics["test"]),
        *_tasks(card),
        *_calibration(card),
        *_doubt(card),
        *describe_holdout(card),
        *(show_plot(plot) for plot in PLOTS),
        *describe_audit(card),
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


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].strip().removesuffix(".")


def _describe_probabilities(card: Card) -> str:
    if NOT_CALIBRATED in card.limitations:
        return "Probabilities are not calibrated: see the limitations."
    held_out = card.certainty is not None and card.certainty.chosen_on == "held_out_sources"
    by_validation = card.training.settings.get("temperature") == "validation"
    where = (
        "answers for sources that networks of this recipe were trained without, each counting "
        "alike, whatever the split"
        if held_out and not by_validation
        else "the validation split"
    )
    return (
        f"Probabilities are calibrated by one temperature ({card.temperature:.3f}), fitted on "
        f"{where}."
    )


def _figures(card: Card) -> str:
    head = ["split", "images", "patients", "accuracy", "balanced accuracy", "macro-AUROC", "NLL"]
    rows = [
        [
            split,
            str(figures.images),
            str(figures.patients),
            figure(figures.accuracy),
            figure(figures.balanced_accuracy),
            figure(figures.macro_auroc),
            f"{figures.nll:.3f}",
        ]
        for split, figures in card.metrics.items()
    ]
    return table(head, rows)


def _per_label(figures: Metrics) -> str:
    columns = {
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "precision": figures.precision,
        "AUROC": figures.auroc,
    }
    shown = {name: column for name, column in columns.items() if column}
    rows = [
        [label, *(figure(column[label]) for column in shown.values())]
        for label in figures.sensitivity
    ]
    return table(["label", *shown], rows)


def _by_source(figures: Metrics) -> list[str]:
    if not figures.sensitivity_by_source:
        rows = [[source, f"{value:.3f}"] for source, value in figures.accuracy_by_source.items()]
        return ["Accuracy on the test images of each source:", table(["source", "accuracy"], rows)]
    rows = [
        [source, label, figure(value)]
        for source, labels in figures.sensitivity_by_source.items()
        for label, value in labels.items()
    ]
    text = "Share of each label's test images called by it, by source:"
    return [text, table(["source", "label", "called right"], rows)]


def _tasks(card: Card) -> list[str]:
    rows = [
        [
            name.replace("_", " "),
            split,
            str(task.images),
            *map(figure, (task.auroc, task.accuracy, task.sensitivity, task.specificity)),
        ]
        for split, figures in card.metrics.items()
        for name, task in figures.tasks.items()
    ]
    head = ["task", "split", "images", "AUROC", "accuracy", "sensitivity", "specificity"]
    text = (
        "Telling two kinds of images apart, on images of those kinds only: pneumonia from sources "
        "that have normal, bacterial and viral images (Kermany et al. 2018 report an AUROC of "
        "0.968, and 0.940 for viral against bacterial), COVID-19 against the normal images of "
        "each source. The validation split is patients held out of the training division:"
    )
    return [text, table(head, sorted(rows))] if rows else []


def _calibration(card: Card) -> list[str]:
    rows = []
    measured = {split: m for split, m in card.metrics.items() if m.ece is not None}
    for split, m in measured.items():
        before = m.before_temperature
        pairs = [
            (before and before.nll, m.nll),
            (before and before.brier, m.brier),
            (before and before.ece, m.ece),
            (m.ece_by_chance, m.ece_by_chance_95),
        ]
        cells = ["" if value is None else f"{value:.3f}" for pair in pairs for value in pair]
        rows.append([split, *cells])
    text = (
        "Calibration, before and after the temperature. ECE is the expected calibration error in "
        "15 bins of as many images each; beside it, what perfectly calibrated answers of the same "
        "confidence show by chance, and what they stay below 95 times in 100:"
    )
    head = ["split", "NLL before", "after", "Brier before", "after", "ECE before", "after"]
    return [text, table([*head, "ECE by chance", "95 %"], rows)] if rows else []


def _doubt(card: Card) -> list[str]:
    rows = [
        [
            split,
            figure(m.answered),
            figure(m.accuracy_answered),
            f"{m.aurc:.4f}",
            figure(m.refused) if m.refused else "",
        ]
        for split, m in card.metrics.items()
        if m.answered and m.accuracy_answered and m.aurc is not None
    ]
    if not rows or card.operating_points is None:
        return _refusal(card)
    points = ", ".join(f"{label} {point:.3f}" for label, point in card.operating_points.items())
    rule = (
        "An operating point is the probability that 95 % of a label's own images reach, of those "
        f"that it was chosen on ({points})."
        if card.certainty
        else "An answer is `ok` if the label called is the only one that reaches its operating "
        f"point, the probability that 95 % of its own validation images reach ({points}); "
        "else it is `uncertain`."
    )
    return [
        "## Doubt",
        *describe_certainty(card),
        f"{rule} AURC is the mean error over all shares answered, the most confident first.",
        table(["split", "answered", "accuracy on those", "AURC", "refused"], rows),
        *_refusal(card),
    ]


def _refusal(card: Card) -> list[str]:
    if card.distance_threshold is None:
        return []
    text = (
        "A picture is refused as no frontal chest X-ray if the squared Mahalanobis distance of its "
        f"features to the nearest class of training images is over {card.distance_threshold:.0f}."
    )
    if card.upright_threshold is None:
        return [text]
    turned = (
        "So is one that is upright with a probability under "
        f"{card.upright_threshold:g}, by a linear classifier on the same features."
    )
    return [f"{text} {turned}"]


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
        table(["label", "age in years"], rows),
    ]


def _priors(card: Card) -> list[str]:
    if card.priors is None:
        return []
    shares = ", ".join(f"{label} {share:.3f}" for label, share in card.priors.items())
    told = f"Probabilities hold where the labels are as common as in validation: {shares}."
    if card.training.settings.get("priors") == "even":
        told = (
            f"Probabilities are shifted to labels as common as these: {shares}. Temperature, "
            "figures and ECE are of the splits as they are."
        )
    return [told]


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
        table([*head, "labels kept"], rows),
    ]


def _data(card: Card) -> str:
    labels = [label.id for label in card.labels]
    known = {label for source in card.training.data for label in source.images}
    columns = [*labels, *sorted(known.difference(labels))]
    head = ["source", "licence", *(column.replace("|", " or ") for column in columns)]
    rows = [
        [
            source.source,
            source.licence,
            *(str(source.images.get(column, 0)) for column in columns),
        ]
        for source in card.training.data
    ]
    return table(head, rows)


def _reproduction(card: Card) -> str:
    training = card.training
    environment = ", ".join(f"{name} {version}" for name, version in training.environment.items())
    teachers = training.settings.get("teachers", 0)
    taught = (
        f" It learned the mean answers of {teachers} networks of the same recipe and other seeds, "
        "trained before it; their time is not counted."
        if teachers
        else ""
    )
    last = training.settings.get("keep") == "last"
    kept = "the last" if last else "best validation macro-AUROC"
    return (
        f"    {training.command}\n\n"
        f"Commit {training.commit}, {training.date}, {training.duration_s / 60:.0f} minutes. "
        f"Strategy `{training.strategy}`, starting weights `{training.starting_weights}`, "
        f"epoch {training.best_epoch} of {training.epochs} kept ({kept}), "
        f"seed {training.seed}.{taught} {environment}."
    )
