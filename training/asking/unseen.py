"""Which images a bundle was not fitted to: what two of them may be compared on.

A bundle's own validation may hold what another learned from. So both are asked about images that
neither was fitted to: no patient of them was.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from app.model.card import Card
from training.config import Config
from training.data.faults import DataError
from training.data.manifest import Sample, read_samples
from training.release.remeasure import SourcesDiffer, divide_again


def find_unseen(
    cards: Sequence[Card], data: Sequence[Path], pattern: str | None, root: Path | None
) -> tuple[list[Sample], dict[str, int]]:
    """Return training images of one label that none of these bundles was fitted to.

    And how many each was fitted to, of this data, by its name. Of several data sets those count
    that its card's numbers of images are of.

    Raises
    ------
    SourcesDiffer
        If a bundle was fitted to images of these sources, but which can't be told.
    DataError
        As `read_samples` does.
    """
    samples = [
        sample
        for sample in read_samples(data, ("train",), pattern, root)
        if sample.split == "train" and sample.label is not None
    ]
    taken: set[str] = set()
    counts = {}
    for card in cards:
        fitted = _find_fitted(card, data, pattern, root)
        counts[card.name] = len(fitted)
        taken |= {sample.patient for sample in fitted}
    return [sample for sample in samples if sample.patient not in taken], counts


def _find_fitted(
    card: Card, data: Sequence[Path], pattern: str | None, root: Path | None
) -> Sequence[Sample]:
    """Return what a bundle was fitted to, of the data sets that it was trained on."""
    known = {source.source for source in card.training.data}
    differs: SourcesDiffer | None = None
    for some in _list_subsets(data):
        told: dict[str, object] = {"name": "compared-1", "data": some}
        given = {"root": root, "patient_pattern": pattern}
        told |= {name: value for name, value in given.items() if value is not None}
        try:
            division = divide_again(Config.model_validate(told), card)
        except SourcesDiffer as error:
            differs = error
            continue
        except DataError:  # one set of several may lack a split or a label
            if len(some) == len(data):
                raise
            continue
        if known & {sample.source for sample in division.fit}:
            return division.fit
    if differs is not None:
        raise differs
    return []


def _list_subsets(data: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield all data sets together, then ever fewer of them, each in their order."""
    for count in range(len(data), 0, -1):
        for some in combinations(data, count):
            yield list(some)
