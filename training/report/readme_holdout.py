"""The card's README: what a new hospital may expect, by the sources that were held out."""

from collections.abc import Mapping, Sequence

from app.model.card import Card, Certainty
from app.model.measured.figures import HeldOut, Interval
from training.report.markdown import figure, show_plot, table

TRADE_OFF_PLOT = "trade-off.png"

_CHOSEN_ON = {
    "held_out_sources": "images of sources that networks of this recipe were trained without",
    "validation": "the validation split: patients of the same hospitals that it learned from",
    "site": "images of the hospital that uses it",
}
_BASIS = {
    "bound": "a 95 % upper bound",
    "no_error_seen": "no bound, but no error above the floor",
    "never": "nothing: never `ok`",
}


def describe_certainty(card: Card) -> list[str]:
    """Say what `ok` asks for, on whose images that was chosen, and what it gave there."""
    return _describe_rule(card.certainty) if card.certainty else []


def describe_holdout(card: Card) -> list[str]:
    """Write out the hold-out and the trade-off; nothing of a card that has none."""
    if not card.holdout:
        return []
    plot = [show_plot(TRADE_OFF_PLOT)] if card.trade_off else []
    return ["## Hospitals never seen", *_describe_sources(card.holdout), *plot]


def describe_sources_held_out(
    sources: Mapping[str, HeldOut], certainty: Certainty, from_validation: Sequence[str]
) -> list[str]:
    """Write out what `neumo-train holdout` found, for a page of its own."""
    kinds = ", ".join(from_validation)
    lacking = (
        f"Of {kinds} no held-out source could speak: their answers are those for validation's "
        "patients, of sources that the network was trained on."
    )
    return [
        "# Sources held out",
        *_describe_sources(sources),
        "## What `ok` asks for",
        *_describe_rule(certainty),
        *([lacking] if kinds else []),
        show_plot(TRADE_OFF_PLOT),
    ]


def _describe_sources(sources: Mapping[str, HeldOut]) -> list[str]:
    head = ["trained without", "images of", "images", "called COVID-19", "with more than 0.9"]
    rows = [
        [name, _plain(kind) + (" (never taught)" if kind in own.untaught else ""), str(count)]
        + [_share(part, kind) for part in (own.called_covid19, own.sure_covid19)]
        + [_share(part, kind) for part in (own.ok_covid19, own.ok_right)]
        for name, own in sources.items()
        for kind, count in own.images.items()
    ]
    pairs = [
        [name, other, figure(area)]
        for name, own in sources.items()
        for other, area in own.auroc.items()
    ]
    wholes = [
        [
            name,
            str(own.patients),
            *("" if value is None else f"{value:.3f}" for value in (own.nll, own.ece)),
            figure(own.refused),
            figure(own.wrong) if own.wrong else "",
        ]
        for name, own in sources.items()
    ]
    return [
        (
            "For each source, networks of the same recipe that were trained without it and its "
            "patients answered for its images. What only that source has was `never taught` then: "
            "its figures tell nothing of the network that ships. 95 % intervals by patient:"
        ),
        table([*head, "`ok` as COVID-19", "`ok` and right"], rows),
        (
            "Calibration (images of one label), pictures refused, and the `ok` answers that were "
            "wrong:"
        ),
        table(["trained without", "patients", "NLL", "ECE", "refused", "`ok` but wrong"], wholes),
        (
            "AUROC of COVID-19 against normal by one network, one kind from the source held out, "
            "the other from the source named; `seen`: validation patients of a source that it was "
            "trained on:"
        ),
        table(["trained without", "against", "AUROC"], pairs),
    ]


def _describe_rule(certainty: Certainty) -> list[str]:
    rows = [
        [
            label,
            f"{floor:.3f}",
            _BASIS.get(certainty.basis.get(label, ""), ""),
            figure(certainty.wrong_by_label[label]) if label in certainty.wrong_by_label else "",
        ]
        for label, floor in certainty.floors.items()
    ]
    return [
        (
            "An answer is `ok` if the probability of the label called reaches its operating point "
            f"and its floor, and is ahead of the next by {certainty.margin:g}; else it is "
            f"`uncertain`. Floors and margin were chosen on {_CHOSEN_ON[certainty.chosen_on]}, so "
            f"that at most {certainty.risk:.0%} of a label's `ok` answers are wrong there, as far "
            "as can be proven (each source and kind counts alike; Learn then Test, Angelopoulos et "
            f"al. 2021). There {figure(certainty.answered)} of the images are answered `ok`, and "
            f"{figure(certainty.wrong)} of those answers are wrong."
        ),
        table(["label", "floor", "proven by", "wrong of its `ok` answers"], rows),
    ]


def _share(shares: Mapping[str, Interval], kind: str) -> str:
    return figure(shares[kind]) if kind in shares else ""


def _plain(kind: str) -> str:
    return kind.replace("|", " or ")
