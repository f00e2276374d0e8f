"""The parts of a report about doubt: each source, hospitals held out, `ok`, refusal, the audit."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.measured.figures import Metrics
from training.html_report.figures_part import list_splits
from training.html_report.html_elements import Html, items, paragraph, plot, section, table
from training.html_report.material import Material
from training.metrics.intervals import rate_interval
from training.report.audit_plots import draw_changes, draw_deletion, draw_trade_off

_STATUSES: Final = ("ok", "uncertain", "refused")
_BASIS: Final = {
    "bound": "a 95 % upper bound",
    "no_error_seen": "no error above it, of too few for a bound",
    "never": "not at all: never `ok`",
}


def describe_sources(found: Material) -> Html:
    """Write out the figures of each source: where a source decides, it shows here."""
    rows: list[Sequence[object]] = []
    if found.asked:
        told = found.asked.predictions
        ruled = bool((told.statuses != "").any())  # a run without a bundle withholds nothing yet
        statuses = _STATUSES if ruled else ()
        patients = told.patients.tolist()
        right = np.array(told.called) == told.labels
        for source in sorted(set(told.sources.tolist())):
            own = told.sources == source
            for label in LABEL_IDS:
                part = own & (told.labels == label)
                if not part.any():
                    continue
                row: list[object] = [source, label, int(part.sum())]
                row.append(rate_interval(right, part, patients))
                row += [rate_interval(told.statuses == each, part, patients) for each in statuses]
                if ruled:
                    ok = part & (told.statuses == "ok")
                    row.append(rate_interval(~right, ok, patients) if ok.any() else "")
                rows.append(row)
        head = ["source", "label", "images", "called right", *statuses]
        head += ["wrong of the `ok`"] * ruled
        caption = f"{found.asked.split}. Figures of few images have wide intervals."
        return section("sources", "By source", [table(head, rows, caption)])
    for split, m in list_splits(found).items():
        rows += [
            [split, source, label, value]
            for source, labels in m.sensitivity_by_source.items()
            for label, value in labels.items()
        ]
    head = ["split", "source", "label", "called right"]
    return section("sources", "By source", [table(head, rows)] if rows else [])


def describe_held_out(found: Material) -> Html:
    """Write out what networks answered for hospitals that they were trained without."""
    if not found.held_out:
        return ""
    rows: list[Sequence[object]] = []
    for name, own in found.held_out.items():
        for kind, images in own.images.items():
            untaught = " (never taught)" * (kind in own.untaught)
            rows.append(
                [name, kind.replace("|", " or ") + untaught, images]
                + [part.get(kind, "") for part in (own.called_covid19, own.sure_covid19)]
                + [part.get(kind, "") for part in (own.ok_covid19, own.ok_right)]
            )
    head = ["trained without", "images of", "images", "called COVID-19", "with more than 0.9"]
    wholes = [
        [name, own.patients, own.wrong or "", own.refused]
        + ["" if value is None else f"{value:.3f}" for value in (own.nll, own.ece)]
        for name, own in found.held_out.items()
    ]
    pairs = [
        [name, other, area]
        for name, own in found.held_out.items()
        for other, area in own.auroc.items()
    ]
    areas = table(["trained without", "against", "AUROC"], pairs)
    drawn = []
    if found.trade_off and found.certainty:
        figure = draw_trade_off(found.trade_off, found.certainty)
        drawn = [plot(figure, "Each point is another floor. The dashed line is the risk accepted.")]
    return section(
        "held-out",
        "Hospitals held out",
        [
            paragraph(
                "For each source, networks of the same recipe that were trained without it "
                "answered for its images: the nearest there is to the next hospital, and no "
                "promise."
            ),
            table([*head, "`ok` as COVID-19", "`ok` and right"], rows),
            table(
                ["trained without", "patients", "`ok` but wrong", "refused", "NLL", "ECE"], wholes
            ),
            *drawn,
            f"<details><summary>COVID-19 against normal, by pairs</summary>{areas}</details>",
        ],
    )


def describe_doubt(found: Material) -> Html:
    """Write out what `ok` asks for, and what is refused."""
    card = found.bundle.card if found.bundle else None
    if card is None:
        return ""
    rule = card.certainty
    rows = []
    for label in LABEL_IDS:
        row: list[object] = [
            label,
            f"{card.operating_points[label]:.3f}" if card.operating_points else "none",
        ]
        if rule:
            row += [f"{rule.floors[label]:.3f}", _BASIS.get(rule.basis.get(label, ""), "")]
            row += [rule.wrong_by_label.get(label, "")]
        rows.append(row)
    head = [
        "label",
        "operating point",
        *(["floor", "proven by", "wrong of its `ok`"] if rule else []),
    ]
    said = ["An operating point is the probability that 95 % of a label's own images reach."]
    if rule:
        chosen = rule.chosen_on.replace("_", " ")
        said.append(
            f"`ok` asks the label called to reach both, and to lead by {rule.margin:g}. Chosen on "
            f"{chosen}, for at most {rule.risk:.0%} wrong: there {rule.answered.value:.1%} were "
            f"answered, {rule.wrong.value:.1%} of those wrong."
        )
    return section(
        "doubt",
        "Doubt and refusal",
        [table(head, rows), items(said), *_describe_refusal(card, list_splits(found))],
    )


def _describe_refusal(card: Card, told: Mapping[str, Metrics]) -> list[Html]:
    if card.distance_threshold is None:
        return []
    limits = [f"A picture further than {card.distance_threshold:.0f} from every class is refused."]
    if card.upright_threshold is not None:
        limits.append(f"So is one upright with a probability under {card.upright_threshold:g}.")
    rows: list[list[object]] = [
        [f"{split} as it is", m.refused] for split, m in told.items() if m.refused
    ]
    rows += [
        [f"{split}, {name.replace('_', ' ')}", share]
        for split, audit in card.audit.items()
        for name, share in audit.turned.items()
    ]
    return ["<h3>Refusal</h3>", items(limits), table(["images", "refused"], rows)]


def describe_audit(found: Material) -> Html:
    """Write out what changes the answers, by the card."""
    card = found.bundle.card if found.bundle else None
    if card is None or "test" not in card.audit:
        return ""
    audit, test = card.audit["test"], card.metrics["test"]
    rows: list[list[object]] = [
        ["as they are", test.accuracy, test.macro_auroc],
        ["lungs hidden", audit.lungs_hidden.accuracy, audit.lungs_hidden.macro_auroc],
        ["all but the lungs hidden", audit.lungs_only.accuracy, audit.lungs_only.macro_auroc],
        ["a blind guess of the commonest label", f"{audit.commonest:.3f}", ""],
    ]
    return section(
        "audit",
        "Where the answers come from",
        [
            table(["test images", "accuracy", "macro-AUROC"], rows),
            "<div class='plots'>",
            plot(
                draw_changes(audit.changed, test.accuracy, "test", test.images),
                "Mild changes of the images.",
            ),
            plot(draw_deletion(audit.deletion, "test"), "Lower for what the map marks is better."),
            "</div>",
        ],
    )
