"""Folds by source: what a network is trained without, and what it is asked then."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.model.labels import LABEL_IDS
from training.data.faults import DataError
from training.data.manifest import Sample
from training.data.splits import Division

_TELLING: Final = (LABEL_IDS.index("normal"), LABEL_IDS.index("covid19"))


@dataclass(frozen=True, slots=True)
class Fold:
    """Sources that one network is trained without, and its samples: of the training split only.

    `validation` and `held` are asked: patients of sources that it was trained on, and the
    images of the sources that it wasn't.
    """

    sources: tuple[str, ...]
    fit: Sequence[Sample]
    validation: Sequence[Sample]
    held: Sequence[Sample]

    @property
    def name(self) -> str:
        """A folder's name that tells the sources."""
        return "+".join(re.sub(r"[^A-Za-z0-9.-]+", "-", source) for source in self.sources)


def list_sources(samples: Sequence[Sample]) -> list[tuple[str]]:
    """Return each source by itself that has normal or COVID-19 images."""
    return [(source,) for source in sorted({s.source for s in samples if s.label in _TELLING})]


def hold_sources(division: Division, sources: Sequence[str], *, others: bool = True) -> Fold:
    """Take sources out of a division, and their patients out of what is left of it.

    Without `others`, images of other findings are asked about, but not learned.

    Raises
    ------
    DataError
        If a source has no training image, or nothing is left to train on.
    """
    train = [*division.fit, *division.validation, *division.unlearned]
    held = [sample for sample in train if sample.source in sources]
    unknown = sorted(set(sources) - {sample.source for sample in held})
    if unknown:
        known = ", ".join(sorted({sample.source for sample in train}))
        reason = f"no training image is of the source {', '.join(unknown)}; known: {known}"
        raise DataError(reason=reason)
    patients = {sample.patient for sample in held}
    fit, validation = (
        [sample for sample in part if sample.patient not in patients]
        for part in (division.fit, division.validation)
    )
    fit = [sample for sample in fit if others or sample.targets]
    if not (fit and validation):
        raise DataError(reason=f"without {', '.join(sources)} nothing is left to train on")
    return Fold(tuple(sorted(sources)), fit, validation, held)
