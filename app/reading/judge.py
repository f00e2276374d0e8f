"""Judging: from the network's numbers to the label called, and whether it may be relied on."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final, Literal, get_args

from app.model.card import Card, Doubt
from app.model.labels import LabelId
from app.model.measured.acceptance_file import SiteRule
from app.model.session import ImageOutputs
from app.reading.population import (
    NOBODY,
    Subject,
    WarningCode,
    compare_with_population,
    find_set,
)
from app.reading.priors import Shares, reweight

Status = Literal["ok", "uncertain"]

ReasonCode = Literal[
    "low_confidence",
    "close_call",
    "pneumonia_kind_unknown",
    "age_outside_population",
    "view_outside_population",
]
"""Why an answer is uncertain; `app.render.wording` has their texts."""

DECIMALS: Final = 6
"""Of the probabilities of a judgement."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers mean.

    `probabilities` are calibrated and sum to 1 (to rounding); `abnormal` is 1 - normal,
    `non_covid_pneumonia` the sum of bacterial and viral. `reasons` say why an answer is
    uncertain, none if it is ok. `candidates` are the labels in doubt, the likeliest first; none
    where the doubt is not about labels.
    """

    status: Status
    label: LabelId
    reasons: list[ReasonCode]
    candidates: list[LabelId]
    probabilities: dict[LabelId, float]
    abnormal: float
    non_covid_pneumonia: float
    warnings: list[WarningCode]


def judge(
    outputs: ImageOutputs,
    card: Card,
    subject: Subject = NOBODY,
    priors: Shares | None = None,
    site: SiteRule | None = None,
) -> Judgement:
    """Judge what the network says of one image.

    The answer is `ok` if the label called is clear of doubt (`_doubt`) and the subject within the
    population that the card knows this label from. A label known there only as one of a set
    is claimed as that set, and which of them is uncertain. At a hospital with a rule of its own
    both are asked, the card's at the card's temperature: so none is `ok` that the card doubts, or
    that it would call by another label.

    Parameters
    ----------
    priors : shares of the labels to re-weight the probabilities to, if the card tells its own
    site : what the hospital's acceptance asks of `ok` besides
    """
    calibrated = outputs.probabilities
    if site and site.temperature is not None:
        calibrated = outputs.at_temperature(site.temperature)
    by_label = _weigh(calibrated, card, priors)
    ranked = sorted(by_label, key=by_label.__getitem__, reverse=True)
    top = ranked[0]
    together = find_set(card, top, subject)
    claimed = together or {top}
    found = set(_doubt(outputs.probabilities, card, claimed))
    if site:
        found.update(site.certainty.find_doubts(claimed, calibrated, card.operating_points))
        own = _weigh(outputs.probabilities, card, priors)
        if max(own, key=own.__getitem__) not in claimed:
            found.add("close_call")
    doubts: list[Doubt] = [doubt for doubt in get_args(Doubt) if doubt in found]
    warnings = compare_with_population(card, top, subject)
    reasons: list[ReasonCode] = [*doubts]
    if together:
        reasons.append("pneumonia_kind_unknown")
    reasons += [
        code for code in warnings if code in ("age_outside_population", "view_outside_population")
    ]
    if site is None:
        warnings.append("site_not_validated")
    pneumonia = by_label["bacterial_pneumonia"] + by_label["viral_pneumonia"]
    return Judgement(
        status="uncertain" if reasons else "ok",
        label=top,
        reasons=reasons,
        candidates=_find_candidates(ranked, together, in_doubt=bool(doubts)),
        probabilities={label: round(share, DECIMALS) for label, share in by_label.items()},
        abnormal=round(1 - by_label["normal"], DECIMALS),
        non_covid_pneumonia=round(pneumonia, DECIMALS),
        warnings=warnings,
    )


def _weigh(calibrated: Shares, card: Card, priors: Shares | None) -> Shares:
    return reweight(calibrated, card.priors, priors) if priors and card.priors else calibrated


def _find_candidates(
    ranked: list[LabelId], together: Set[LabelId], *, in_doubt: bool
) -> list[LabelId]:
    """Return the labels in doubt: those of the set, and the likeliest beside what is claimed."""
    claimed = together or {ranked[0]}
    others = [label for label in ranked if label not in claimed][: int(in_doubt)]
    if not together and not in_doubt:
        return []
    return [label for label in ranked if label in claimed or label in others]


def _doubt(calibrated: Shares, card: Card, claimed: Set[LabelId]) -> Iterator[Doubt]:
    """Say what of the probabilities speaks, for the card, against relying on the labels claimed.

    With certainty, what that finds. Without, nothing but what is claimed may reach its operating
    point; a card that has none doubts nothing.

    By the probabilities at the card's own priors: a sensitivity is the same at any prevalence.
    """
    points = card.operating_points
    if card.certainty is not None:
        yield from card.certainty.find_doubts(claimed, calibrated, points)
    elif points is not None:
        reached = {label for label, share in calibrated.items() if share >= points[label]}
        if not reached & claimed:
            yield "low_confidence"
        elif reached - claimed:
            yield "close_call"
