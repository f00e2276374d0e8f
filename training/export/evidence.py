"""Answers that thresholds are chosen by, with what is true of their images."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.model.labels import LABEL_IDS
from training.metrics.weighting import weigh_evenly

Mask = NDArray[np.bool_]

_NORMAL: Final = LABEL_IDS.index("normal")
_COVID: Final = LABEL_IDS.index("covid19")
_PNEUMONIA: Final = [LABEL_IDS.index("bacterial_pneumonia"), LABEL_IDS.index("viral_pneumonia")]


@dataclass(frozen=True, slots=True)
class Limits:
    """What may go wrong at most; shares from 0 to 1.

    `risk` of the `ok` answers of a label may be wrong, and none is of less than `least_floor`;
    `healthy` of the healthy adults and `pneumonia` of the adults with another pneumonia may be
    answered `ok` as COVID-19.
    """

    risk: float = 0.05
    healthy: float = 0.01
    pneumonia: float = 0.12
    least_floor: float = 0.0


USUAL: Final = Limits()


@dataclass(frozen=True)
class Evidence:
    """Answers that floors are chosen by.

    Parameters
    ----------
    probabilities : [N, 4], after the temperature, in the order of `LABEL_IDS`
    targets : bool [N, 4], the labels that each image may have; none: another finding
    sources, patients : N names each
    adult : bool [N]
    weak : bool [N], labels that nobody read a film for; None: no image's
    evenly : whether groups count alike, or else images
    """

    probabilities: NDArray[np.float32]
    targets: Mask
    sources: Sequence[str]
    patients: Sequence[str]
    adult: Mask
    weak: Mask | None = None
    evenly: bool = True

    @cached_property
    def called(self) -> NDArray[np.int64]:
        """The likeliest label of each image: [N]."""
        return np.asarray(self.probabilities.argmax(1))

    @cached_property
    def wrong(self) -> Mask:
        """Whether that is none of its labels; `normal`, none of the others, is right of `other`."""
        return find_wrong(self.called, self.targets) & ~self.undecided

    @cached_property
    def undecided(self) -> Mask:
        """Whether nothing can be said: a weak label that `normal` was called for: bool [N]."""
        if self.weak is None:
            return np.zeros(len(self.targets), np.bool_)
        return np.asarray(self.weak & (self.called == _NORMAL))

    @cached_property
    def groups(self) -> list[Hashable]:
        """Source and kind of each image."""
        return [
            (source, row.tobytes()) for source, row in zip(self.sources, self.targets, strict=True)
        ]

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Of each image, so that groups count alike, or images: [N]."""
        if self.evenly:
            return weigh_evenly(self.groups)
        return np.full(len(self.targets), 1 / len(self.targets))

    @cached_property
    def healthy(self) -> Mask:
        """Adults without any of the three illnesses, nor another finding: bool [N]."""
        only = self.targets[:, _NORMAL] & (self.targets.sum(1) == 1)
        return np.asarray(only & self.adult)

    @cached_property
    def other_pneumonia(self) -> Mask:
        """Adults with bacterial or viral pneumonia, whichever: bool [N]."""
        within = self.targets[:, _PNEUMONIA].any(1) & ~self.targets[:, [_NORMAL, _COVID]].any(1)
        return np.asarray(within & self.adult)


def find_wrong(called: NDArray[np.int64], targets: Mask) -> Mask:
    """Tell whether each label called, [N], is none of its image's, bool [N, 4].

    `normal` means none of the three others, so it is right of an image that has no label.
    """
    right = targets.copy()
    right[~targets.any(1), _NORMAL] = True
    return np.asarray(~right[np.arange(len(right)), called], np.bool_)
