"""Live performance: what answers were worth, by the diagnoses that were confirmed later.

Rates have exact 95 % intervals (Clopper and Pearson) of as many films. Of a film whose truth is
a set of labels, those of the set are neither shown nor ruled out, and all others are ruled out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.acceptance_file import Acceptance
from app.model.measured.binomial import exact_limits
from app.model.measured.figures import Interval, Strict
from app.records.diagnosis import OTHER, is_right

_BINS: Final = ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0))
_DECIMALS: Final = 6

Against = Literal["within", "below", "above"]
"""below, above: the live interval and the acceptance's have nothing in common."""


@dataclass(frozen=True, slots=True)
class Case:
    """A film with its answer and its truth.

    Parameters
    ----------
    truth : the labels of which one is the case, or `other`
    called, status, probabilities : of the answer; None if the film was refused
    """

    truth: list[str]
    called: str | None
    status: str | None
    probabilities: dict[str, float] | None

    @property
    def name(self) -> str:
        """Its truth as figures are kept by it: a label, a set joined by |, or other."""
        return "|".join(self.truth)

    def shows(self, label: str) -> bool | None:
        """Whether the truth is a label; None if nobody knows."""
        if self.truth == [label]:
            return True
        if label in self.truth or (label == "normal" and self.truth == [OTHER]):
            return None
        return False


class Rate(Strict):
    """A share with its exact 95 % interval."""

    hits: int = Field(description="Films that count towards it")
    films: int = Field(description="Films it is a share of")
    value: float | None = Field(description="hits / films; null without films")
    low: float = Field(description="The interval's lower end")
    high: float = Field(description="The interval's upper end")


class Compared(Strict):
    """A live rate beside the acceptance's."""

    live: Rate = Field(description="By feedback")
    accepted: Interval | None = Field(description="In the acceptance file; null if it tells none")
    against: Against | None = Field(
        description="below or above: the two intervals have nothing in common; null if either "
        "is missing"
    )


class ProbabilityBin(Strict):
    """Films of about one probability."""

    low: float = Field(description="From this probability on")
    high: float = Field(description="Below this one; 1 belongs to the last")
    mean_probability: float = Field(description="Mean of the films' probabilities")
    observed: Rate = Field(description="Share that the label was the case for")


class LiveCalibration(Strict):
    """How far the probabilities of a label can be believed."""

    mean_probability: float | None = Field(description="Mean over all films; null without any")
    observed: Rate = Field(description="Share that the label was the case for")
    holds: bool | None = Field(
        description="Whether the mean probability lies in the interval of the share observed"
    )
    brier: float | None = Field(description="Mean squared error of the probability")
    bins: list[ProbabilityBin] = Field(description="The same by probability; empty bins left out")


class LabelPerformance(Strict):
    """What answers were worth as to one label."""

    sensitivity: Compared = Field(description="Share of the label's films called by it")
    specificity: Rate = Field(description="Share of the films it is ruled out for not called by it")
    calibration: LiveCalibration = Field(description="Of its probability, on films that were read")


class Performance(Strict):
    """Live performance of the model that is served.

    Films with feedback are seldom a fair sample of all: doubtful ones are looked into more often.
    """

    model: str = Field(description="Name of the bundle")
    sha256: str = Field(description="Of its model.onnx")
    days: int = Field(description="Films read within so many days")
    films: int = Field(description="Films of this model with feedback")
    answered: Rate = Field(description="Share of them answered `ok`")
    wrong: Compared = Field(description="Share of the `ok` answers that were wrong")
    labels: dict[LabelId, LabelPerformance] = Field(description="By label")
    others: dict[str, Compared] = Field(
        description="Share called rightly of films known as one of several labels, or as `other`"
    )


def work_out(
    cases: Sequence[Case], model: str, sha256: str, days: int, acceptance: Acceptance | None
) -> Performance:
    """Return what the answers to `cases` were worth, beside the hospital's acceptance if any."""
    accepted = (acceptance.by_site or acceptance.by_card) if acceptance else None
    sensitivities = accepted.sensitivity if accepted else {}
    ok = [case for case in cases if case.status == "ok"]
    wrong = _rate(not is_right(case.called, case.truth) for case in ok)
    others = sorted({case.name for case in cases} - set(LABEL_IDS))
    return Performance(
        model=model,
        sha256=sha256,
        days=days,
        films=len(cases),
        answered=_rate(case.status == "ok" for case in cases),
        wrong=_compare(wrong, accepted.wrong if accepted else None),
        labels={
            label: LabelPerformance(
                sensitivity=_compare(
                    _rate(case.called == label for case in cases if case.shows(label)),
                    sensitivities.get(label),
                ),
                specificity=_rate(
                    case.called != label for case in cases if case.shows(label) is False
                ),
                calibration=_calibrate(label, cases),
            )
            for label in LABEL_IDS
        },
        others={
            name: _compare(
                _rate(is_right(case.called, case.truth) for case in cases if case.name == name),
                sensitivities.get(name),
            )
            for name in others
        },
    )


def _calibrate(label: LabelId, cases: Sequence[Case]) -> LiveCalibration:
    pairs = list(_pairs(label, cases))
    observed = _rate(shown for _, shown in pairs)
    mean = _mean([share for share, _ in pairs])
    bins = []
    for low, high in _BINS:
        inside = [(p, shown) for p, shown in pairs if low <= p < high or p == high == 1]
        if inside:
            bins.append(
                ProbabilityBin(
                    low=low,
                    high=high,
                    mean_probability=_mean([p for p, _ in inside]) or 0.0,
                    observed=_rate(shown for _, shown in inside),
                )
            )
    return LiveCalibration(
        mean_probability=mean,
        observed=observed,
        holds=None if mean is None else observed.low <= mean <= observed.high,
        brier=_mean([(share - shown) ** 2 for share, shown in pairs]),
        bins=bins,
    )


def _pairs(label: LabelId, cases: Sequence[Case]) -> Iterator[tuple[float, bool]]:
    """Give a label's probability and whether it was the case, where that is known."""
    for case in cases:
        shown = case.shows(label)
        if shown is not None and case.probabilities is not None:
            yield case.probabilities.get(label, 0.0), shown


def _rate(each: Iterator[bool]) -> Rate:
    told = list(each)
    hits, films = sum(told), len(told)
    low, high = exact_limits(hits, films)
    return Rate(
        hits=hits,
        films=films,
        value=round(hits / films, _DECIMALS) if films else None,
        low=round(low, _DECIMALS),
        high=round(high, _DECIMALS),
    )


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), _DECIMALS) if values else None


def _compare(live: Rate, accepted: Interval | None) -> Compared:
    against: Against | None = None
    if accepted is not None and live.films:
        if live.high < accepted.low:
            against = "below"
        elif live.low > accepted.high:
            against = "above"
        else:
            against = "within"
    return Compared(live=live, accepted=accepted, against=against)
