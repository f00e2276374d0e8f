"""Writing a bundle: graphs, card.json for machines, README.md and plots for people."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from app.errors import BundleError, NeumoError
from app.language import Text
from app.machine import count_cpus
from app.model.bundle import read_bundle, read_fp32
from app.model.card import Card
from app.model.session import OnnxModel
from training.files import appearing_whole
from training.metrics.metrics import Labels, Probabilities
from training.report.audit_plots import draw_changes, draw_deletion, draw_trade_off
from training.report.plot_style import save_figure
from training.report.plots import plot_all
from training.report.readme import render_readme
from training.report.readme_audit import CHANGES_PLOT, DELETION_PLOT
from training.report.readme_holdout import TRADE_OFF_PLOT


class BundleRefused(NeumoError):
    """What was built is not what serving would load, or doesn't answer as its card says."""

    code = "bundle_refused"
    title = Text("The new bundle can't be served", "El modelo nuevo no se puede servir")
    advice = Text(
        "The new bundle {bundle} was not kept, and one of that name that was there stays as it "
        "was: {reason}",
        "El modelo nuevo {bundle} no se conservó, y el que hubiera con ese nombre sigue como "
        "estaba: {reason}",
    )


def write_bundle(
    folder: Path,
    card: Card,
    graphs: Mapping[str, bytes],
    labels: Labels,
    probabilities: Probabilities,
) -> None:
    """Write a bundle whole: graphs by file name, card, README, plots of the test's answers.

    It is read back and asked for its known answers before it takes the place of an older one.

    Raises
    ------
    BundleRefused
        If serving would not take it; the older one stays.
    """
    with appearing_whole(folder) as building:
        for name, graph in graphs.items():
            (building / name).write_bytes(graph)
        (building / "card.json").write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (building / "README.md").write_text(render_readme(card), encoding="utf-8")
        plot_all(labels, probabilities, card.metrics["test"], "test", building)
        for name, figure in draw_surroundings(card).items():
            save_figure(figure, building / name)
        _check_as_served(building)


def draw_surroundings(card: Card) -> dict[str, Figure]:
    """Draw what a card tells beyond its figures, by the file's name."""
    drawn = {}
    if audit := card.audit.get("test"):
        test = card.metrics["test"]
        drawn[CHANGES_PLOT] = draw_changes(audit.changed, test.accuracy, "test", test.images)
        drawn[DELETION_PLOT] = draw_deletion(audit.deletion, "test")
    if card.trade_off and card.certainty:
        drawn[TRADE_OFF_PLOT] = draw_trade_off(card.trade_off, card.certainty)
    return drawn


def _check_as_served(folder: Path) -> None:
    try:
        bundle = read_bundle(folder)
        exact = read_fp32(folder, bundle)
        for each in (bundle, exact) if exact else (bundle,):
            OnnxModel(each, count_cpus()).check_known_answers()
    except BundleError as error:
        raise BundleRefused(bundle=folder.name, reason=str(error)) from None
