"""What answers are worth on a hospital's films, with exact intervals by patient."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.acceptance.films import OTHER, parse_label
from app.acceptance.survey import Survey
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.measured.acceptance_file import Drift, SiteFigures, Spread
from app.model.measured.binomial import exact_limits
from app.model.measured.figures import Interval
from app.model.measured.reference import Histogram, stability_index
from app.reading.judge import Judgement

Answers = Sequence[Judgement | None]
"""Of each film that was seen, None where it was refused."""


def measure_share(part: Sequence[bool], whole: Sequence[bool], patients: Sequence[str]) -> Interval:
    """Return the share of `part` in `whole` with exact limits, films of one patient taken as alike.

    The limits are those of as many independent films as Kish 1965 counts: the number of
    patients, fewer where some of them have most films. 0, from 0 to 1, where the whole is empty.
    """
    count = count_patients(whole, patients)
    if not count:
        return Interval(value=0, low=0, high=1)
    hits = sum(here and inside for here, inside in zip(part, whole, strict=True))
    rate = hits / sum(whole)
    low, high = exact_limits(rate * count, count)
    return Interval(value=rate, low=low, high=high)


def count_patients(whole: Sequence[bool], patients: Sequence[str]) -> float:
    """Return how many patients the films of a whole are worth: fewer where some have most."""
    films = Counter(patient for patient, inside in zip(patients, whole, strict=True) if inside)
    squares = sum(count**2 for count in films.values())
    return films.total() ** 2 / squares if squares else 0.0


def find_ok(answers: Answers) -> list[bool]:
    """Tell which films are answered `ok`."""
    return [answer is not None and answer.status == "ok" for answer in answers]


def measure_answered(survey: Survey, answers: Answers) -> tuple[Interval, Interval]:
    """Return the share of films answered `ok`, and the share of those that is wrong."""
    ok = find_ok(answers)
    wrong = [
        answer is not None and not each.film.is_right(answer.label)
        for each, answer in zip(survey.seen, answers, strict=True)
    ]
    return (
        measure_share(ok, [True] * len(ok), survey.patients),
        measure_share(wrong, ok, survey.patients),
    )


def measure_figures(survey: Survey, answers: Answers) -> SiteFigures:
    """Return all figures of the answers to a survey's films."""
    every = [True] * len(answers)
    normal = [each.film.label == "normal" for each in survey.seen]
    called = [answer.label if answer else None for answer in answers]
    ok = find_ok(answers)
    answered, wrong = measure_answered(survey, answers)

    def share(part: Sequence[bool], whole: Sequence[bool]) -> Interval:
        return measure_share(part, whole, survey.patients)

    alarms = {label: [each == label for each in called] for label in LABEL_IDS if label != "normal"}
    there = any(normal)
    return SiteFigures(
        refused=share([answer is None for answer in answers], every),
        false_alarms={label: share(part, normal) for label, part in alarms.items() if there},
        confident_false_alarms={
            label: share([here and sure for here, sure in zip(part, ok, strict=True)], normal)
            for label, part in alarms.items()
            if there
        },
        sensitivity={
            name: share(
                [answer in parse_label(name) for answer in called],
                [each.film.label == name for each in survey.seen],
            )
            for name in sorted({each.film.label for each in survey.seen} - {OTHER})
        },
        answered=answered,
        wrong=wrong,
    )


def measure_drift(survey: Survey, card: Card) -> Drift:
    """Compare the films with what the card tells of those that it was measured on.

    By its test split, or else validation.
    """
    metrics = card.metrics.get("test") or card.metrics.get("validation")
    distances = [each.outputs.distance for each in survey.seen if each.outputs is not None]
    median = quantile = None
    if distances and card.distance_threshold:
        shares = np.quantile(distances, [0.5, 0.95]) / card.distance_threshold
        median, quantile = (round(float(share), 6) for share in shares)
    return Drift(
        median_distance=median,
        distance_95=quantile,
        card_refused=metrics.refused if metrics else None,
        card_answered=metrics.answered if metrics else None,
        card_sensitivity=metrics.sensitivity if metrics else {},
        spread=_measure_spread(survey, card.reference.distance) if card.reference else None,
    )


def _measure_spread(survey: Survey, expected: Histogram) -> Spread | None:
    """Compare distances as the live index does; None where the histogram has one bin."""
    last = len(expected.edges)
    if not last:
        return None
    bins = [expected.bin_of(each.distance) for each in survey.seen]
    found = np.bincount(bins, minlength=last + 1).tolist()
    every = [True] * len(bins)
    return Spread(
        stability_index=round(stability_index(expected.counts, found), 6),
        by_chance=round(last / len(bins), 6),
        beyond=measure_share([each == last for each in bins], every, survey.patients),
        card_beyond=round(expected.counts[-1] / sum(expected.counts), 6),
    )
