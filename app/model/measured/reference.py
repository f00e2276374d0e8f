"""The reference: how films lay where a card was measured, to compare with what comes in service.

Population stability index (PSI), as credit scoring has it: sum over bins of (found - expected) *
ln(found / expected), of shares. Under 0.1 is taken for no shift, over 0.25 for a large one.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import Finite

BINS: Final = 10
"""Of a histogram, as many films in each: deciles. Fewer where values are the same."""

MOST_BINS: Final = 32
"""That a card may have."""

_EMPTY: Final = 0.5
"""Films that every bin is taken to hold besides: an empty one's share has a logarithm then."""

Count = Annotated[int, Field(ge=0)]


class Histogram(Finite):
    """How often values lay between edges; a value that is an edge counts above it."""

    edges: list[float] = Field(description="Ascending, one fewer than `counts`")
    counts: list[Count] = Field(min_length=1, max_length=MOST_BINS, description="Films in each bin")

    @model_validator(mode="after")
    def _check_edges(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("counts are not one more than edges")
        if any(not low < high for low, high in pairwise(self.edges)):
            raise ValueError("edges do not ascend")
        return self

    def bin_of(self, value: float) -> int:
        """Return the bin of a value; NaN is in the last."""
        return len(self.edges) if math.isnan(value) else bisect_right(self.edges, value)

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Count values, [N], in bins of as many each."""
        given = np.asarray(values, np.float64)
        # Rounded first, so that the card's edges count as these do.
        edges = np.unique(np.quantile(given, np.arange(1, BINS) / BINS).round(6))
        counts = np.bincount(np.searchsorted(edges, given, side="right"), minlength=len(edges) + 1)
        return cls(edges=edges.tolist(), counts=counts.tolist())


class Reference(Finite):
    """How films of validation lay, refused ones too: what those in service are compared with.

    `confidence` is the probability of the label called, at the card's priors and temperature.
    """

    images: int = Field(gt=0, description="Films of validation")
    distance: Histogram = Field(description="Of the graph's distance")
    confidence: Histogram = Field(description="Of the highest probability")
    labels: dict[LabelId, Count] = Field(description="Films called by each label")

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if sorted(self.labels) != sorted(LABEL_IDS):
            raise ValueError("labels has not one entry for each label")
        return self


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the population stability index of counts in the same bins; 0 if shares are alike.

    Half a film is added to each bin of both. Of n films from the very population that was
    expected it is about (bins - 1) / n, so it says little of a few.
    """
    pairs = zip(_shares(expected), _shares(found), strict=True)
    return math.fsum((new - old) * math.log(new / old) for old, new in pairs)


def _shares(counts: Sequence[float]) -> list[float]:
    total = math.fsum(counts) + _EMPTY * len(counts)
    return [(count + _EMPTY) / total for count in counts]
