"""Labelled X-rays: which there are, who they show, which split they belong to.

Two layouts are read:

- ``manifest.csv`` with the columns path, label, patient, split (train or test), source and,
  if known, licence; paths are relative to the manifest's folder.
- ImageFolder: ``<split>/<label>/<file>`` below a folder. It names no patient, so every file
  counts as its own.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sklearn.model_selection import StratifiedGroupKFold

from app.bundle import DataSource
from app.errors import NeumoError
from app.language import Text
from training.config import LABELS

LABEL_INDEX: Final = {label.id: index for index, label in enumerate(LABELS)}
SPLITS: Final = ("train", "test")
_COLUMNS: Final = ("path", "label", "patient", "split", "source")
MIN_SIDE_PX: Final = 32
"""Training images may be smaller than serving accepts."""

_SHOWN: Final = 5
_SUFFIXES: Final = (".jpg", ".jpeg", ".png")


class DataError(NeumoError):
    """The data set can't be trained on as it is."""

    code = "data_unusable"
    title = Text("The data set can't be used", "No se puede usar el conjunto de datos")
    advice = Text("{reason}", "{reason}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: `label` is an index into `training.config.LABELS`.

    `subsets` names the manifest's further columns that hold a 1 in its row.
    """

    path: Path
    label: int
    patient: str
    split: str
    source: str
    licence: str
    subsets: frozenset[str] = frozenset()


def read_samples(data: Path, splits: Sequence[str] = SPLITS) -> list[Sample]:
    """List the images of a manifest (a file) or an ImageFolder (a folder).

    Raises
    ------
    DataError
        Naming every fault: a file, a column or a label that is missing or unknown, an image
        outside the folder or listed twice, a patient in two splits, a label that has no image
        in one of `splits`.
    """
    if data.is_dir() and (data / "manifest.csv").is_file():
        data = data / "manifest.csv"
    samples = _read_folder(data) if data.is_dir() else _read_manifest(data)
    _check(samples, splits)
    return samples


@dataclass(frozen=True, slots=True)
class Division:
    """The samples of one data set, by what they are for."""

    fit: Sequence[Sample]
    validation: Sequence[Sample]
    test: Sequence[Sample]


def divide(
    data: Path,
    validation_share: float,
    seed: int,
    leave_out: Sequence[str] = (),
    subset: str | None = None,
) -> Division:
    """Read a data set and divide its training samples once more, by patient.

    `leave_out` names training images, relative to the data set's folder, that are not used;
    with `subset`, only those are that hold a 1 in the manifest's column of that name.

    Raises
    ------
    DataError
        As `read_samples` and `split_validation` do.
    """
    samples = read_samples(data)
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == "test"]
    root = data if data.is_dir() else data.parent
    unwanted = {(root / path).resolve(): path for path in leave_out}
    known = {sample.path.resolve() for sample in train}
    absent = [name for path, name in unwanted.items() if path not in known]
    if absent:
        reason = f"leave_out names {len(absent)} image(s) that are not in training: {_some(absent)}"
        raise DataError(reason=reason)
    train = [sample for sample in train if sample.path.resolve() not in unwanted]
    if subset is not None:
        train = [sample for sample in train if subset in sample.subsets]
    return Division(*split_validation(train, validation_share, seed), test)


def split_validation(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Divide training samples into (fit, validation), by patient, labels in like shares.

    Raises
    ------
    DataError
        If a label has fewer patients than the share takes.
    """
    parts = max(2, round(1 / share))
    for index, label in enumerate(LABELS):
        count = len({sample.patient for sample in samples if sample.label == index})
        if count < parts:
            reason = f"{label.id} has {count} training patient(s); at least {parts} are needed"
            raise DataError(reason=f"{reason} to hold out {share:.0%} of them for validation")
    folds = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    labels = [sample.label for sample in samples]
    patients = [sample.patient for sample in samples]
    fit, validation = next(folds.split(labels, labels, patients))
    return [samples[i] for i in fit], [samples[i] for i in validation]


def describe_sources(samples: Sequence[Sample]) -> list[DataSource]:
    """Count the images of each source by label, for the card."""
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.source, sample.licence][LABELS[sample.label].id] += 1
    return [
        DataSource(source=source, licence=licence, images=dict(sorted(images.items())))
        for (source, licence), images in sorted(counts.items())
    ]


def _read_manifest(manifest: Path) -> list[Sample]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(
            reason=f"{manifest} can't be read; give a manifest.csv or a folder"
        ) from None
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise DataError(reason=f"{manifest} has no rows, or lacks the column(s) {missing}")
    root = manifest.parent.resolve()
    samples, faults = [], []
    for line, row in enumerate(rows, start=2):
        try:
            samples.append(_read_row(row, root))
        except DataError as error:
            faults.append(f"{manifest} line {line}: {error}")
    if faults:
        raise DataError(reason="\n".join(faults))
    return samples


def _read_row(row: dict[str, str], root: Path) -> Sample:
    blank = [name for name in _COLUMNS if not row[name]]
    if blank:
        raise DataError(reason=f"nothing in the column(s) {blank}")
    path = root / row["path"]
    if not path.resolve().is_relative_to(root):
        raise DataError(reason=f"{row['path']} leaves the folder")
    licence = row.get("licence") or "not stated"
    label = _label(row["label"])
    subsets = frozenset(name for name, value in row.items() if name and value == "1")
    return Sample(path, label, row["patient"], row["split"], row["source"], licence, subsets)


def _read_folder(root: Path) -> list[Sample]:
    samples, faults = [], []
    for path in sorted(root.glob("*/*/*")):
        split, label_name = path.parts[-3:-1]
        if path.suffix.lower() not in _SUFFIXES:
            continue
        try:
            label = _label(label_name)
        except DataError as error:
            faults.append(f"{path}: {error}")
            continue
        patient = f"{split}/{label_name}/{path.name}"
        samples.append(Sample(path, label, patient, split, root.name, "not stated"))
    if faults:
        raise DataError(reason="\n".join(faults))
    return samples


def _label(name: str) -> int:
    try:
        return LABEL_INDEX[name]  # type: ignore[index]
    except KeyError:
        known = ", ".join(LABEL_INDEX)
        raise DataError(reason=f"unknown label {name!r}; known: {known}") from None


def _check(samples: Sequence[Sample], filled: Sequence[str]) -> None:
    """Raise one error that names every fault: whoever mends a manifest wants them all."""
    unknown = Counter(sample.split for sample in samples if sample.split not in SPLITS)
    faults = [
        f"{count} image(s) in the split {split!r}, which is not train or test"
        for split, count in sorted(unknown.items())
    ]
    splits: defaultdict[str, set[str]] = defaultdict(set)
    uses: Counter[Path] = Counter()
    for sample in samples:
        splits[sample.patient].add(sample.split)
        uses[sample.path.resolve()] += 1
    torn = sorted(patient for patient, names in splits.items() if len(names) > 1)
    if torn:
        faults.append(f"{len(torn)} patient(s) in both splits: {_some(torn)}")
    repeated = sorted(str(path) for path, count in uses.items() if count > 1)
    if repeated:
        faults.append(f"{len(repeated)} image(s) listed twice: {_some(repeated)}")
    for split in filled:
        present = {sample.label for sample in samples if sample.split == split}
        empty = [label.id for index, label in enumerate(LABELS) if index not in present]
        if empty:
            faults.append(f"the {split} split has no image labelled {', '.join(empty)}")
    if faults:
        raise DataError(reason="\n".join(faults))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."
