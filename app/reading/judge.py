"""Judging: from the network's numbers to the label called, and whether it may be relied on."""

from dataclasses import dataclass
from typing import Final, Literal

from app.model.card import Card
from app.model.labels import LabelId
from app.model.session import ImageOutputs
from app.reading.population import NOBODY, Subject, WarningCode, compare_with_population
from app.reading.priors import Shares, reweight

Status = Literal["ok", "uncertain"]

DECIMALS: Final = 6
"""Of the probabilities of a judgement."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers mean.

    `probabilities` are calibrated and sum to 1 (to rounding); `abnormal` is 1 - normal,
    `non_covid_pneumonia` the sum of bacterial and viral. `candidates` are the two most likely
    labels of an uncertain answer.
    """

    status: Status
    label: LabelId
    candidates: list[LabelId]
    probabilities: dict[LabelId, float]
    abnormal: float
    non_covid_pneumonia: float
    warnings: list[WarningCode]


def judge(
    outputs: ImageOutputs, card: Card, subject: Subject = NOBODY, priors: Shares | None = None
) -> Judgement:
    """Judge what the network says of one image.

    The answer is `uncertain` where not just the label called reaches its operating point, and
    where the subject is outside the population that the card knows this label from.

    Parameters
    ----------
    priors : shares of the labels to re-weight the probabilities to, if the card tells its own
    """
    calibrated = outputs.probabilities
    by_label: Shares = calibrated
    if priors and card.priors:
        by_label = reweight(calibrated, card.priors, priors)
    ranked = sorted(by_label, key=by_label.__getitem__, reverse=True)
    top = ranked[0]
    warnings = compare_with_population(card, top, subject)
    outside = any(warning != "population_unknown" for warning in warnings)
    certain = _reached(calibrated, card) in (None, {top}) and not outside
    pneumonia = by_label["bacterial_pneumonia"] + by_label["viral_pneumonia"]
    return Judgement(
        status="ok" if certain else "uncertain",
        label=top,
        candidates=[] if certain else ranked[:2],
        probabilities={label: round(share, DECIMALS) for label, share in by_label.items()},
        abnormal=round(1 - by_label["normal"], DECIMALS),
        non_covid_pneumonia=round(pneumonia, DECIMALS),
        warnings=warnings,
    )


def _reached(calibrated: Shares, card: Card) -> set[LabelId] | None:
    """Return the labels that reach their operating points, None if the card has none.

    By the probabilities at the card's own priors: a sensitivity is the same at any prevalence.
    """
    if card.operating_points is None:
        return None
    points = card.operating_points
    return {label for label, share in calibrated.items() if share >= points[label]}
