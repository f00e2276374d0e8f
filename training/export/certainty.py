"""Choosing what `ok` asks for, so that it is seldom wrong: floors and a margin, risk-controlled.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then Test: Calibrating
Predictive Algorithms to Achieve Risk Control"): of each label by itself, floors are tried from
strict to lax, and the laxest is taken whose share of wrong answers is proven to be low, before
the first that isn't (fixed-sequence testing, so the level is spent once). Where a sequence starts,
and which margin it is of, is decided beforehand by the probabilities alone: where the bound would
be lowest, and what would answer most, if they were right but for a share of wrong labels.

Images are weighed so that each group (a source's images of one kind) counts alike, by patient:
see `training.metrics.weighting`. Hospitals are few, and the bound is of the mixture of those that
were held out: it is no promise for any single further one.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.model.card import Basis, Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import Interval, TradeOff
from training.export.evidence import USUAL, Evidence, Limits
from training.metrics.doubt import find_answered, measure_lead
from training.metrics.weighting import (
    count_effective,
    count_step_by_step,
    upper_bound,
    weighted_interval,
)

Mask = NDArray[np.bool_]
ChosenOn = Literal["held_out_sources", "validation", "site"]

LEVEL: Final = 0.95
MARGINS: Final = (0.1, 0.2, 0.3)
FLOORS: Final = np.concatenate([np.arange(999, 990, -1) / 1000, np.arange(99, 25, -1) / 100])
"""Tried one after the other."""

LEAST_UNPROVEN: Final = 20
"""Images, effectively, that a floor without a bound needs above it, none of them wrong."""

_WRONG_LABELS: Final = 0.01
"""Share of the truth itself that is expected to be wrong: even at the top, so many will be."""

_COVID: Final = LABEL_IDS.index("covid19")
_ROUNDING: Final = 1e6


def choose_certainty(
    evidence: Evidence,
    operating_points: Mapping[LabelId, float] | None,
    chosen_on: ChosenOn,
    limits: Limits = USUAL,
) -> Certainty:
    """Choose floors and margin: of those proven to keep the limits, what answers most.

    A label of which nothing can be proven gets the lowest floor above all its errors if
    `LEAST_UNPROVEN` answers are there, else 1: it is never `ok`. `Certainty.basis` tells.
    """
    margin = max(
        MARGINS, key=lambda each: (_expect(evidence, operating_points, each, limits), each)
    )
    chosen = {
        label: _choose_floor(_Path(evidence, index, margin, operating_points), limits)
        for index, label in enumerate(LABEL_IDS)
    }
    floors = {label: max(floor, limits.least_floor) for label, (floor, _) in chosen.items()}
    nothing = Interval(value=0, low=0, high=1)
    certainty = Certainty(
        floors=floors,
        margin=margin,
        chosen_on=chosen_on,
        risk=limits.risk,
        answered=nothing,
        wrong=nothing,
        basis={label: basis for label, (_, basis) in chosen.items()},
    )
    return _measure(evidence, operating_points, certainty)


def _expect(
    evidence: Evidence,
    operating_points: Mapping[LabelId, float] | None,
    margin: float,
    limits: Limits,
) -> float:
    """Return the share that a margin would answer if the probabilities were right."""
    answered = 0.0
    for index in range(len(LABEL_IDS)):
        path = _Path(evidence, index, margin, operating_points)
        stop = _walk(path.expected() <= limits.risk, path.start())
        answered += 0.0 if stop is None else float(path.answered[stop])
    return round(answered, 6)


class _Path:
    """What is answered as one label at each of `FLOORS`, strict to lax, at one margin."""

    def __init__(
        self,
        evidence: Evidence,
        index: int,
        margin: float,
        operating_points: Mapping[LabelId, float] | None,
    ) -> None:
        self.evidence = evidence
        self.index = index
        self.own = evidence.probabilities[:, index].astype(np.float64)
        point = operating_points[LABEL_IDS[index]] if operating_points else 0.0
        clear = measure_lead(evidence.probabilities) >= margin
        said = (evidence.called == index) & ~evidence.undecided
        self.candidates = clear & said & (self.own >= point)
        self._first = np.full(len(self.own), len(FLOORS))  # that each reaches; one too many: none
        self._first[self.candidates] = (self.own[self.candidates, np.newaxis] < FLOORS).sum(1)
        self.answered = self._sum(evidence.weights)
        self._counts = count_step_by_step(
            self._first, len(FLOORS), evidence.weights, evidence.patients
        )

    def _sum(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(self._first, weights=weights, minlength=len(FLOORS) + 1)
        return np.asarray(sums[: len(FLOORS)].cumsum())

    def bound(self, part: NDArray[np.bool_] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Upper bound of the share of `part` among what is answered, at each floor."""
        parts = self._sum(self.evidence.weights * part)
        share = np.ones_like(parts)
        np.divide(parts, self.answered, out=share, where=self.answered > 0)
        return upper_bound(np.minimum(share, 1), self._counts, LEVEL)

    def bound_of(self, whole: Mask) -> NDArray[np.float64]:
        """Upper bound of the share answered so among `whole`, at each floor; 0 of nobody."""
        weights = self.evidence.weights
        if not whole.any():
            return np.zeros(len(FLOORS))
        share = self._sum(weights * whole) / (weights @ whole)
        count = count_effective(whole, weights, self.evidence.patients)
        return upper_bound(np.minimum(share, 1), count, LEVEL)

    def expected(self) -> NDArray[np.float64]:
        """Return what `bound` would be if the probabilities were right, but for wrong labels."""
        return self.bound(1 - self.own * (1 - _WRONG_LABELS))

    def start(self) -> int:
        """Return the floor where that is lowest: decided before anything is known of the truth."""
        return int(self.expected().argmin())


def _choose_floor(path: _Path, limits: Limits) -> tuple[float, Basis]:
    """Return one label's floor, and how far it is proven."""
    evidence = path.evidence
    holds = path.bound(evidence.wrong) <= limits.risk
    if path.index == _COVID:
        holds &= path.bound_of(evidence.healthy) <= limits.healthy
        holds &= path.bound_of(evidence.other_pneumonia) <= limits.pneumonia
    stop = _walk(holds, path.start())
    if stop is not None:
        return float(FLOORS[stop]), "bound"
    return _stay_above_errors(path)


def _walk(holds: Mask, start: int) -> int | None:
    """Return the last floor before the first that doesn't hold; None if the start doesn't."""
    failed = np.flatnonzero(~holds[start:])
    length = int(failed[0]) if len(failed) else len(holds) - start
    return start + length - 1 if length else None


def _stay_above_errors(path: _Path) -> tuple[float, Basis]:
    evidence, own = path.evidence, path.own
    errors = own[path.candidates & evidence.wrong]
    highest = float(errors.max()) if len(errors) else float(FLOORS[-1])
    floor = (np.floor(highest * _ROUNDING) + 1) / _ROUNDING
    above = path.candidates & (own >= floor)
    if floor >= 1 or count_effective(above, evidence.weights, evidence.patients) < LEAST_UNPROVEN:
        return 1.0, "never"
    return float(floor), "no_error_seen"


def _measure(
    evidence: Evidence, operating_points: Mapping[LabelId, float] | None, certainty: Certainty
) -> Certainty:
    """Fill in how much is answered, and how much of that is wrong, in all and by label."""
    ok = find_answered(evidence.probabilities, operating_points, certainty)
    assert ok is not None  # noqa: S101 - there is a certainty
    ok = ok & ~evidence.undecided
    weights, patients = evidence.weights, evidence.patients
    by_label = {label: ok & (evidence.called == index) for index, label in enumerate(LABEL_IDS)}
    return certainty.model_copy(
        update={
            "answered": weighted_interval(ok, np.ones_like(ok), weights, patients),
            "wrong": weighted_interval(evidence.wrong, ok, weights, patients),
            "wrong_by_label": {
                label: weighted_interval(evidence.wrong, rows, weights, patients)
                for label, rows in by_label.items()
                if rows.any()
            },
        }
    )


def trace_trade_off(evidence: Evidence, margin: float) -> list[TradeOff]:
    """Return what would be answered, and how much of it wrong, at each of some common floors.

    From strict to lax; floors that nothing reaches are left out.
    """
    own = evidence.probabilities.max(1).astype(np.float64)
    clear = (measure_lead(evidence.probabilities) >= margin) & ~evidence.undecided
    weights = evidence.weights
    points = []
    for floor in FLOORS:
        ok = clear & (own >= floor)
        if answered := float(weights @ ok):
            wrong = float(weights @ (ok & evidence.wrong)) / answered
            points.append(TradeOff(floor=float(floor), answered=answered, wrong=wrong))
    return points
