"""The card's README: what a new hospital may expect, by the sources that were held out."""

from collections.abc import Mapping, Sequence

from app.model.card import Card, Certainty
from app.model.labels import LABEL_IDS
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
    if card.certainty is None:
        return []
    settings = card.training.settings
    return [
        *_describe_rule(card.certainty, settings.get("weigh") == "images"),
        *_describe_counted(
            card.certainty,
            card.holdout,
            _find_unspoken(card.holdout, _names(settings.get("collections"))),
            collections=_names(settings.get("collections")),
            weak_sets=_names(settings.get("weak_sets")),
        ),
    ]


def describe_holdout(card: Card) -> list[str]:
    """Write out the hold-out and the trade-off; nothing of a card that has none."""
    if not card.holdout:
        return []
    plot = [show_plot(TRADE_OFF_PLOT)] if card.trade_off else []
    return ["## Hospitals never seen", *_describe_sources(card.holdout), *plot]


def describe_sources_held_out(
    sources: Mapping[str, HeldOut],
    certainty: Certainty,
    from_validation: Sequence[str],
    *,
    by_image: bool,
    collections: Sequence[str],
    weak_sets: Sequence[str],
) -> list[str]:
    """Write out what `neumo-train holdout` found, for a page of its own.

    Parameters
    ----------
    from_validation : kinds that no source could speak for
    by_image : whether images counted alike, not a source's images of one kind
    collections, weak_sets : as in the settings
    """
    return [
        "# Sources held out",
        *_describe_sources(sources),
        "## What `ok` asks for",
        *_describe_rule(certainty, by_image),
        *_describe_counted(
            certainty, sources, from_validation, collections=collections, weak_sets=weak_sets
        ),
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


def _describe_counted(
    certainty: Certainty,
    sources: Mapping[str, HeldOut],
    from_validation: Sequence[str],
    *,
    collections: Sequence[str],
    weak_sets: Sequence[str],
) -> list[str]:
    """Say whose answers the rule's figures count, where they aren't plainly all held out."""
    if certainty.chosen_on != "held_out_sources":
        return []
    told = []
    if from_validation:
        kinds = " and ".join(map(_plain, from_validation))
        told.append(
            f"of {kinds} validation's patients, of sources that the networks were trained on, for "
            "no source held out could speak"
        )
    if held := [name for name in collections if name in sources]:
        told.append(
            f"of {', '.join(held)} validation's patients too: it is many hospitals' films, and who "
            "is held out there is another hospital's"
        )
    if weak := [name for name in weak_sets if name in sources]:
        told.append(
            f"of {', '.join(weak)}'s sets of labels, which nobody read a film for, those called "
            "normal neither way"
        )
    if not told:
        return []
    return [
        (
            "Not all of these are films of a source held out. Counted are: "
            + "; ".join(told)
            + '. Under "Hospitals never seen" all films held out are counted as they are labelled, '
            "and more of the `ok` answers is wrong."
        )
    ]


def _find_unspoken(sources: Mapping[str, HeldOut], collections: Sequence[str]) -> list[str]:
    """Return the labels that no source held out shows alone, where its networks knew them."""
    shown = {
        kind
        for name, own in sources.items()
        if name not in collections
        for kind in own.images
        if kind not in own.untaught
    }
    return [label for label in LABEL_IDS if label not in shown]


def _names(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _describe_rule(certainty: Certainty, by_image: bool) -> list[str]:
    counted = "each image counts alike" if by_image else "each source and kind counts alike"
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
            f"as can be proven ({counted}; Learn then Test, Angelopoulos et al. "
            f"2021). There {figure(certainty.answered)} of the images are answered `ok`, and "
            f"{figure(certainty.wrong)} of those answers are wrong."
        ),
        table(["label", "floor", "proven by", "wrong of its `ok` answers"], rows),
    ]


def _share(shares: Mapping[str, Interval], kind: str) -> str:
    return figure(shares[kind]) if kind in shares else ""


def _plain(kind: str) -> str:
    return kind.replace("|", " or ")
