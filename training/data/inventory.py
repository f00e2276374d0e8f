"""Looking a data set over before training: what it holds, and what would mislead.

Faults stop training (`training.data.manifest.DataError` and unreadable images); warnings are for
people to weigh: images that occur twice, and labels that the source gives away.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats.contingency import association

from app.image.resize import SIDE_PX, resize
from training.data.faults import DataError
from training.data.images import UNREADABLE, read_image
from training.data.manifest import NO_PATIENTS, DataSets, Sample, lacks_patients, read_samples
from training.data.splits import find_folders
from training.data.targets import order_of
from training.meter import track

NEAR_CORRELATION: Final = 0.979
"""Of two thumbnails. On cxr4, pairs above are one image saved twice; below, two children."""

_THUMBNAIL_PX: Final = 32
_ROWS: Final = 512
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Twins:
    """Two images that show the same thing: paths as in the manifest."""

    first: str
    second: str
    correlation: float
    across_splits: bool
    across_labels: bool
    across_patients: bool


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a data set holds.

    `counts` are images by "split/label/source", `patients` by split, `sizes` by "width x
    height"; `source_label_association` is Cramér's V of source and label, sets and other among
    them, of the training images: 0 unrelated, 1 the source tells the label.
    """

    counts: dict[str, int]
    patients: dict[str, int]
    sizes: dict[str, int]
    unreadable: list[str]
    twins: list[Twins]
    source_label_association: float
    warnings: list[str]


def take_inventory(
    data: DataSets, patient_pattern: str | None = None, root: Path | None = None
) -> Inventory:
    """Read every image of data sets and look them over; arguments are as of `read_samples`.

    Raises
    ------
    DataError
        If the data set can't be trained on as it is: unknown labels, a patient in two
        splits, an empty class, a path that leaves the folder.
    """
    samples = read_samples(data, patient_pattern=patient_pattern, root=root)
    folders = [root] if root else find_folders(data)
    sizes: Counter[str] = Counter()
    unreadable: list[str] = []
    thumbnails: list[NDArray[np.uint8]] = []
    digests: list[str] = []
    readable: list[Sample] = []
    for sample in track(samples, "reading", "image"):
        try:
            grey = read_image(sample)
        except UNREADABLE as error:
            unreadable.append(f"{_name(sample, folders)}: {error}")
            continue
        sizes[f"{grey.facts.width} x {grey.facts.height}"] += 1
        pixels = resize(grey).reshape(SIDE_PX, SIDE_PX)
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
        thumbnails.append(_shrink(pixels))
        readable.append(sample)
    twins = _find_twins(readable, thumbnails, digests, folders)
    train = [sample for sample in samples if sample.split == "train"]
    no_patients = [NO_PATIENTS] if lacks_patients(data, patient_pattern) else []
    return Inventory(
        counts=dict(Counter(_key(sample) for sample in samples)),
        patients=_count_patients(samples),
        sizes=dict(sizes.most_common()),
        unreadable=unreadable,
        twins=twins,
        source_label_association=_associate(train),
        warnings=[*no_patients, *_warn_of_sources(train), *_warn_of_twins(twins)],
    )


def render_inventory(inventory: Inventory) -> str:
    """Write an inventory out for people."""
    lines = ["images by split, label and source:"]
    lines += [f"  {count:6d}  {key}" for key, count in sorted(inventory.counts.items())]
    patients = sorted(inventory.patients.items())
    lines.append("patients: " + ", ".join(f"{split} {count}" for split, count in patients))
    lines.append(f"sizes: {len(inventory.sizes)}; the most frequent:")
    lines += [f"  {count:6d}  {size}" for size, count in list(inventory.sizes.items())[:5]]
    association = inventory.source_label_association
    lines.append(f"source against label (Cramér's V, 0 to 1): {association:.2f}")
    lines.append(f"images that occur twice: {len(inventory.twins)} pair(s)")
    lines += [f"  {_describe(twins)}" for twins in inventory.twins[:_SHOWN]]
    if len(inventory.twins) > _SHOWN:
        lines.append(f"  and {len(inventory.twins) - _SHOWN} more (--json lists all)")
    lines += [f"warning: {warning}" for warning in inventory.warnings]
    lines += [f"unreadable: {image}" for image in inventory.unreadable]
    return "\n".join(lines) + "\n"


def inventory_to_json(inventory: Inventory) -> str:
    """Write an inventory out for machines."""
    return json.dumps(asdict(inventory), indent=1, ensure_ascii=False) + "\n"


def _count_patients(samples: Sequence[Sample]) -> dict[str, int]:
    patients = {(sample.split, sample.patient) for sample in samples}
    return dict(sorted(Counter(split for split, _ in patients).items()))


def _key(sample: Sample) -> str:
    return f"{sample.split}/{sample.named}/{sample.source}"


def _name(sample: Sample, folders: Sequence[Path]) -> str:
    """Name an image by its path in the folder of a single data set, else in full."""
    if len(folders) == 1:
        # A manifest's paths are resolved, those of an ImageFolder are as the folder was given.
        for base in (folders[0], folders[0].resolve()):
            if sample.path.is_relative_to(base):
                return str(sample.path.relative_to(base))
    return str(sample.path)


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    return np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.BOX))


def _find_twins(
    samples: Sequence[Sample],
    thumbnails: Sequence[NDArray[np.uint8]],
    digests: Sequence[str],
    folders: Sequence[Path],
) -> list[Twins]:
    """Pair images whose thumbnails correlate, exposure and contrast aside; equal pixels first."""
    if not samples:
        return []
    flat = np.stack(thumbnails).reshape(len(samples), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)  # blank: like nothing
    twins = []
    for start in range(0, len(flat), _ROWS):
        likeness = flat[start : start + _ROWS] @ flat.T
        for row, column in np.argwhere(likeness >= NEAR_CORRELATION):
            first, second = int(start + row), int(column)
            if first < second:
                equal = digests[first] == digests[second]
                correlation = 1.0 if equal else min(float(likeness[row, column]), 0.9999)
                one, other = samples[first], samples[second]
                twins.append(
                    Twins(
                        _name(one, folders),
                        _name(other, folders),
                        correlation,
                        one.split != other.split,
                        one.targets != other.targets,
                        one.patient != other.patient,
                    )
                )
    return sorted(twins, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _associate(samples: Sequence[Sample]) -> float:
    sources = sorted({sample.source for sample in samples})
    kinds = sorted({sample.named for sample in samples}, key=order_of)
    table = np.zeros((len(sources), len(kinds)), int)
    for sample in samples:
        table[sources.index(sample.source), kinds.index(sample.named)] += 1
    return 0.0 if len(sources) == 1 else float(association(table, method="cramer"))


def _warn_of_sources(samples: Sequence[Sample]) -> list[str]:
    """Name labels that share no source with another: a network can learn the source instead."""
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for sample in samples:
        sources[sample.named].add(sample.source)
    warnings = []
    for label in sorted(sources, key=order_of):
        own = sources[label]
        others = set().union(*(names for other, names in sources.items() if other != label))
        if not own & others:
            warnings.append(
                f"{label} comes only from {', '.join(sorted(own))}, where no other "
                "label comes from: a network can tell it by the source instead of the disease"
            )
    return warnings


def _warn_of_twins(twins: Sequence[Twins]) -> list[str]:
    reasons = {
        "stand in both splits: the test would flatter": [t for t in twins if t.across_splits],
        "have two labels: one is wrong": [t for t in twins if t.across_labels],
        "name two patients: splits by patient may share them": [
            t for t in twins if t.across_patients
        ],
    }
    return [f"{len(pairs)} twin pair(s) {reason}" for reason, pairs in reasons.items() if pairs]


def _describe(twins: Twins) -> str:
    kind = "equal" if twins.correlation == 1 else f"alike ({twins.correlation:.4f})"
    notes = [
        name
        for name, holds in (
            ("two splits", twins.across_splits),
            ("two labels", twins.across_labels),
            ("two patients", twins.across_patients),
        )
        if holds
    ]
    return f"{twins.first} and {twins.second}: {kind}" + (f" ({', '.join(notes)})" if notes else "")


def refuse_unreadable(inventory: Inventory) -> None:
    """Raise if images can't be read: a run would stop at them.

    Raises
    ------
    DataError
    """
    if inventory.unreadable:
        count = len(inventory.unreadable)
        raise DataError(reason=f"{count} unreadable image(s), named above: mend or remove them")
