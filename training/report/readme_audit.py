"""The audit in a bundle's README.md."""

from typing import Final

from app.image.resize import SIDE_PX
from app.model.card import Card
from app.model.measured.figures import Audit, Changed
from training.report.markdown import figure, show_plot, table

CHANGES_PLOT: Final = "changes.png"
DELETION_PLOT: Final = "deletion.png"
_CELL_PX: Final = 32


def describe_audit(card: Card) -> list[str]:
    """Write out where the answers come from and what changes them; nothing if not audited."""
    if not card.audit:
        return []
    return [
        "## Audit",
        (
            "Lungs hidden: one template blacks out the lungs of every image; what is still right "
            "was never in them. Lungs only: all else is blacked out. A blind guess of the "
            "commonest label is right in the share given."
        ),
        table(["split", "images", "accuracy", "macro-AUROC", "blind guess"], _by_lungs(card)),
        *_probe(card),
        *_turned(card),
        "Accuracy under mild changes of the images; `lost` counts image by image:",
        table(["split", "change", "accuracy", "lost", "macro-AUROC"], _by_change(card)),
        show_plot(CHANGES_PLOT),
        "### Do the maps mark what matters?",
        (
            f"Cells of the {_grid(card)} map are deleted (filled with the image's mean), those it "
            "marks most or as many at random; the probability that the label called keeps, on "
            "average. The gap is the mean difference over all shares."
        ),
        table(["split", "images", "deleted", *_shares(card), "gap"], _by_deletion(card)),
        show_plot(DELETION_PLOT),
    ]


def _grid(card: Card) -> str:
    """Return the rows and columns of the maps, by the side at which the network sees images."""
    cells = int(str(card.training.settings.get("side_px", SIDE_PX))) // _CELL_PX
    return f"{cells} x {cells}"


def _by_lungs(card: Card) -> list[list[str]]:
    rows = []
    for split, audit in card.audit.items():
        for name, changed in (("hidden", audit.lungs_hidden), ("only", audit.lungs_only)):
            rows.append([split, f"lungs {name}", *_cells(changed)[::2], f"{audit.commonest:.3f}"])
    return rows


def _probe(card: Card) -> list[str]:
    told = [
        f"{split} {figure(audit.source_auroc)}"
        for split, audit in card.audit.items()
        if audit.source_auroc
    ]
    text = (
        "A linear probe on the pooled features tells the sources of normal images apart, whose "
        "patients it was not fitted on, with an AUROC of: "
    )
    return [f"{text}{', '.join(told)}. 0.5 would mean that the network has not noticed."] * bool(
        told
    )


def _turned(card: Card) -> list[str]:
    rows = [
        [split, name.replace("_", " "), figure(refused)]
        for split, audit in card.audit.items()
        for name, refused in audit.turned.items()
    ]
    text = "Share of the images refused once they are turned or inverted:"
    return [text, table(["split", "turned", "refused then"], rows)] if rows else []


def _by_change(card: Card) -> list[list[str]]:
    return [
        [split, name.replace("_", " "), *_cells(changed)]
        for split, audit in card.audit.items()
        for name, changed in audit.changed.items()
    ]


def _cells(changed: Changed) -> list[str]:
    return [figure(changed.accuracy), figure(changed.lost), figure(changed.macro_auroc)]


def _shares(card: Card) -> list[str]:
    audit: Audit = next(iter(card.audit.values()))
    return [f"{part:.0%}" for part in audit.deletion.shares]


def _by_deletion(card: Card) -> list[list[str]]:
    return [
        [split, str(told.images), name, *(f"{mean:.3f}" for mean in means), gap]
        for split, audit in card.audit.items()
        for told in [audit.deletion]
        for name, means, gap in (
            ("marked", told.marked, figure(told.gap)),
            ("random", told.random, ""),
        )
    ]
