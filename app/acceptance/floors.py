"""The floors and the margin of `ok` at one hospital, with a bound on what is wrong among them.

Risk control by fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test", section 2.2):
rules are tried from strict to lax, and the last one whose exact upper limit of wrong `ok`
answers is within the risk is kept; the first over it ends the way. A way begins where, by the
answers alone and not by their truth, there are enough `ok` ones for a bound at all. Two ways are
gone and no more, each at the upper end of a 95 % interval (2.5 %), so together the bound holds 95
times in 100 (Bonferroni). Not counted is that a site's temperature was fitted on the same films.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.acceptance.site_figures import count_patients, find_ok, measure_answered
from app.acceptance.survey import Survey, judge_all
from app.model.card import Card, Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.acceptance_file import SiteRule, WhyNot
from app.model.measured.binomial import exact_limits
from app.model.measured.figures import Interval
from app.reading.priors import Shares

RISK: Final = 0.05
NEVER: Final = 1.0
_LEAST_FLOOR: Final = 0.5
"""Where the card asks for no certainty: what is called has the majority."""

_STEPS: Final = (
    0.9999, 0.9995, 0.999, 0.998, 0.997, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.91,
    0.89, 0.87, 0.85, 0.825, 0.8, 0.775, 0.75, 0.725, 0.7, 0.65, 0.6, 0.55, 0.5, 0.4, 0.3, 0.2, 0.1,
    0.0,
)  # fmt: skip
_STAGES: Final[tuple[frozenset[LabelId], ...]] = (
    frozenset(["normal"]),
    frozenset(["bacterial_pneumonia", "viral_pneumonia"]),
    frozenset(["covid19"]),
)
"""In which order labels are let in; COVID-19 last, which networks see too often elsewhere."""

_UNKNOWN: Final = Interval(value=0, low=0, high=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What `ok` asks for: a floor for each label, and the lead over the next."""

    floors: dict[LabelId, float]
    margin: float


def fit_certainty(
    survey: Survey, card: Card, priors: Shares | None, temperature: float | None = None
) -> Certainty | WhyNot:
    """Choose floors and margin, or say why none could be shown to hold.

    What is answered `ok` under them is what the card would answer `ok` as well, whatever the
    temperature (`judge`): so films of one label loosen nothing about the others.

    Parameters
    ----------
    temperature : instead of the card's
    """
    kept: list[Certainty] = []
    enough = False
    for way in (_way_evenly(card), _way_by_label(card)):
        last = None
        for rule in way:
            site = SiteRule(_certainty_of(rule), temperature)
            answers = judge_all(survey.seen, card, priors, site)
            if exact_limits(0, count_patients(find_ok(answers), survey.patients))[1] > RISK:
                continue
            enough = True
            answered, wrong = measure_answered(survey, answers)
            if wrong.high > RISK:
                break
            last = _certainty_of(rule, answered, wrong)
        if last is not None:
            kept.append(last)
    if not kept:
        return "too_many_wrong" if enough else "too_few_films"
    return max(kept, key=lambda each: each.answered.value)


def _way_evenly(card: Card) -> Iterator[Rule]:
    """All labels at once, from nearly sure down to what the card asks for.

    The margin is the lead that the floor implies where all else is one other label.
    """
    base = _base(card)
    for step in _STEPS:
        floors = {label: max(floor, step) for label, floor in base.floors.items()}
        yield Rule(floors, max(base.margin, round(2 * step - 1, 6)))


def _way_by_label(card: Card) -> Iterator[Rule]:
    """One kind of label after the other, each from nearly sure down to what the card asks for."""
    base = _base(card)
    floors: dict[LabelId, float] = dict.fromkeys(LABEL_IDS, NEVER)
    for stage in _STAGES:
        for step in _STEPS:
            floors = floors | {label: max(base.floors[label], step) for label in stage}
            yield Rule(floors, base.margin)


def _base(card: Card) -> Rule:
    """Return the laxest rule: the card's own, or a majority over its operating points.

    The card's own is asked besides, so what of it is no floor and no margin is not lost.
    """
    if card.certainty is not None:
        return Rule(card.certainty.floors, card.certainty.margin)
    points = card.operating_points or dict.fromkeys(LABEL_IDS, 0.0)
    return Rule({label: max(points[label], _LEAST_FLOOR) for label in LABEL_IDS}, 0.0)


def _certainty_of(
    rule: Rule, answered: Interval = _UNKNOWN, wrong: Interval = _UNKNOWN
) -> Certainty:
    return Certainty(
        floors=rule.floors,
        margin=rule.margin,
        chosen_on="site",
        risk=RISK,
        answered=answered,
        wrong=wrong,
    )
