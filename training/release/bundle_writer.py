"""Writing a bundle: graphs, card.json for machines, README.md and plots for people."""

from collections.abc import Mapping
from pathlib import Path

from app.model.card import Card
from training.files import appearing_whole
from training.metrics.metrics import Labels, Probabilities
from training.report.plots import plot_all, plot_changes, plot_deletion
from training.report.readme import render_readme
from training.report.readme_audit import CHANGES_PLOT, DELETION_PLOT


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
        if audit := card.audit.get("test"):
            plot_changes(audit.changed, card.metrics["test"].accuracy, building / CHANGES_PLOT)
            plot_deletion(audit.deletion, building / DELETION_PLOT)
