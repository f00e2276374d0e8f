"""Labels as manifests give them: one label, a set of them, or another finding.

``bacterial_pneumonia|viral_pneumonia`` is one of these, nobody said which; ``other`` is a chest
with a finding that is none of the four.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.config import LABELS

Targets = frozenset[int]
"""The labels that an image may have, indices into `LABELS`; none of them: another finding."""

OTHER: Final = "other"
_BETWEEN: Final = "|"
_INDEX: Final[dict[str, int]] = {label.id: index for index, label in enumerate(LABELS)}


class TargetsUnknown(ValueError):
    """A label that none of this stands for."""


def read_targets(label: str) -> Targets:
    """Read a label: ``normal``, ``normal|covid19``, ``other``.

    Raises
    ------
    TargetsUnknown
        If it names what is no label, or a set names one twice or all of them.
    """
    if label == OTHER:
        return frozenset()
    names = label.split(_BETWEEN)
    unknown = [name for name in names if name not in _INDEX]
    if unknown:
        known = ", ".join([*_INDEX, OTHER])
        sets = f", or several joined by {_BETWEEN!r}" if len(names) > 1 else ""
        raise TargetsUnknown(f"unknown label {unknown[0]!r}; known: {known}{sets}")
    targets = frozenset(_INDEX[name] for name in names)
    if len(targets) < len(names):
        raise TargetsUnknown(f"the set {label!r} names a label twice")
    if len(targets) == len(LABELS):
        raise TargetsUnknown(f"the set {label!r} names every label: it tells nothing")
    return targets


def name_targets(targets: Targets) -> str:
    """Write a label as a manifest gives it, sets in the order of `LABELS`."""
    return _BETWEEN.join(LABELS[index].id for index in sorted(targets)) or OTHER


def order_of(label: str) -> tuple[int, list[int]]:
    """Return a key that sorts written labels: single ones, sets, other."""
    indices = sorted(read_targets(label))
    return (len(indices) or len(LABELS), indices)


def mask_targets(targets: Sequence[Targets]) -> NDArray[np.float32]:
    """Return float32 [N, 4]: 1 for each label that an image may have, else 0."""
    mask = np.zeros((len(targets), len(LABELS)), np.float32)
    for row, own in enumerate(targets):
        mask[row, sorted(own)] = 1
    return mask
