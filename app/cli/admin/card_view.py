"""A model's card as a person reads it: purpose, figures with intervals, population, limits."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.model.card import AgeRange, Card
from app.model.labels import LabelId
from app.model.measured.figures import Interval, Metrics
from app.render.wording import NOTICE

_SPLITS: Final = ("test", "validation")
"""Those that the card holds of the float32 graph as well, ``--json`` tells."""

_NEVER: Final = 1.0
_BASES: Final = {
    "bound": "shown by a bound",
    "no_error_seen": "no error was seen, of too few answers for a bound",
    "never": "never ok",
}


def show_card(card: Card, path: Path, console: Console, *, with_fp32: bool) -> None:
    """Print a card.

    Parameters
    ----------
    path : of the bundle
    with_fp32 : whether its float32 graph lies beside
    """
    console.print(Text(f"{card.name}, version {card.version}", style="bold"))
    for line in _facts(card, path, with_fp32=with_fp32):
        console.print(Text(line), soft_wrap=True)
    _head(console, "For")
    _paragraph(console, card.intended_use)
    _head(console, "When an answer is ok")
    _paragraph(console, _tell_certainty(card))
    console.print(_tabulate_labels(card))
    for split in _SPLITS:
        if split not in card.metrics:
            continue
        metrics = card.metrics[split]
        _head(
            console, f"Measured on {split}: {metrics.images} images of {metrics.patients} patients"
        )
        _paragraph(console, _tell_metrics(metrics))
        console.print(_tabulate_metrics(card, metrics))
    if card.holdout:
        _head(console, "Trained without a hospital, and measured there")
        console.print(_tabulate_holdout(card))
    _head(console, "Known from patients of these ages")
    for line in _population(card):
        _paragraph(console, line)
    _head(console, "Trained on")
    console.print(_tabulate_data(card))
    _head(console, "Limits")
    for limit in card.limitations:
        console.print(_item(limit))
    _head(console, "Licence of the weights")
    _paragraph(console, card.licence)
    console.print()
    console.print(Text(NOTICE.en, style="dim"))


def _facts(card: Card, path: Path, *, with_fp32: bool) -> list[str]:
    graphs = "int8 and float32" if with_fp32 else "int8"
    made = f"made {card.training.date}, {card.training.strategy}"
    return [
        f"sha256  {card.sha256}",
        f"folder  {path}",
        f"bundle  format {card.bundle_format}, {graphs}; {made}",
    ]


def _tell_certainty(card: Card) -> str:
    if card.certainty is None:
        return "The label called is the only one whose probability reaches its operating point."
    certainty = card.certainty
    chosen_on = certainty.chosen_on.replace("_", " ")
    return (
        "The label called reaches its floor and operating point, and leads by "
        f"{certainty.margin:g}. Chosen on {chosen_on} so that at most {certainty.risk:.0%} of the "
        f"ok answers are wrong; of what counted there (the bundle's README says what did) "
        f"{_share(certainty.answered)} were answered ok, and {_share(certainty.wrong)} of those "
        "were wrong."
    )


def _tabulate_labels(card: Card) -> Table:
    table = _table("Label", "Operating point", "Floor of ok", "How far it is shown")
    for label in card.labels:
        point = card.operating_points[label.id] if card.operating_points else None
        floor = card.certainty.floors[label.id] if card.certainty else None
        basis = card.certainty.basis.get(label.id) if card.certainty else None
        table.add_row(
            label.en,
            "-" if point is None else f"{point:.3f}",
            "-" if floor is None else "never" if floor == _NEVER else f"{floor:.3f}",
            _BASES[basis] if basis else "-",
        )
    return table


def _tell_metrics(metrics: Metrics) -> str:
    told = [
        f"Accuracy {_share(metrics.accuracy)}",
        f"balanced {_share(metrics.balanced_accuracy)}",
        f"mean AUROC {_number(metrics.macro_auroc)}",
    ]
    if metrics.answered:
        told.append(f"answered ok {_share(metrics.answered)}")
    if metrics.accuracy_answered:
        told.append(f"accuracy of those {_share(metrics.accuracy_answered)}")
    if metrics.refused:
        told.append(f"refused as no chest X-ray {_share(metrics.refused)}")
    if metrics.ece is not None:
        told.append(f"calibration error {metrics.ece:.3f}")
    return "; ".join(told) + ". In brackets: 95 % intervals, by patient."


def _tabulate_metrics(card: Card, metrics: Metrics) -> Table:
    table = _table("Label", "Sensitivity", "Specificity", "AUROC")
    for label in card.labels:
        table.add_row(
            label.en,
            _share(metrics.sensitivity[label.id]),
            _share(metrics.specificity[label.id]),
            _number(metrics.auroc[label.id]),
        )
    return table


def _tabulate_holdout(card: Card) -> Table:
    table = _table("Source", "Images", "Wrong of ok", "Called COVID-19")
    for source, held in card.holdout.items():
        called = "\n".join(f"{kind}: {_share(each)}" for kind, each in held.called_covid19.items())
        images = "\n".join(f"{kind}: {count}" for kind, count in held.images.items())
        table.add_row(source, images, _share(held.wrong) if held.wrong else "-", called)
    return table


def _population(card: Card) -> Iterable[str]:
    if card.population is None:
        yield "The card does not tell."
        return
    population = card.population
    for label in card.labels:
        ages = _ages(population.age_years[label.id])
        yield f"{label.en}: {ages or 'none'}"
    for together in population.together:
        names = " or ".join(_names(card, together.labels))
        yield f"{names}, not told apart: {_ages(together.age_years)}"
    yield f"Views: {', '.join(population.views)}"


def _names(card: Card, labels: Iterable[LabelId]) -> list[str]:
    return [card.display(label, "en") for label in labels]


def _ages(ranges: Iterable[AgeRange]) -> str:
    return ", ".join(f"{each.low:g} to {each.high:g} years" for each in ranges)


def _tabulate_data(card: Card) -> Table:
    table = _table("Source", "Images", "Licence")
    for data in card.training.data:
        images = "\n".join(f"{label}: {count}" for label, count in data.images.items())
        table.add_row(data.source, images, data.licence)
    return table


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _paragraph(console: Console, text: str) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))


def _item(text: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("  -", Text(text))
    return grid


def _share(interval: Interval) -> str:
    return f"{interval.value:.1%} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def _number(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"
