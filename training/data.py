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

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from app.bundle import DataSource
from app.errors import NeumoError, RequestError
from app.imaging import SIDE_PX, Limits, decode, resize
from app.language import Text
from training.config import LABELS

LABEL_INDEX: Final = {label.id: index for index, label in enumerate(LABELS)}
_SPLITS: Final = ("train", "test")
_COLUMNS: Final = ("path", "label", "patient", "split", "source")
_SUFFIXES: Final = (".jpg", ".jpeg", ".png")


class DataError(NeumoError):
    """The data set can't be trained on as it is."""

    code = "data_unusable"
    title = Text("The data set can't be used", "No se puede usar el conjunto de datos")
    advice = Text("{reason}", "{reason}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: `label` is an index into `training.config.LABELS`."""

    path: Path
    label: int
    patient: str
    split: str
    source: str
    licence: str


def read_samples(data: Path) -> list[Sample]:
    """List the images of a manifest (a file) or an ImageFolder (a folder).

    Raises
    ------
    DataError
        If a file, a column or a label is missing or unknown, an image lies outside the
        folder, a patient stands in two splits, or a class has no training image.
    """
    if data.is_dir() and (data / "manifest.csv").is_file():
        data = data / "manifest.csv"
    samples = _read_folder(data) if data.is_dir() else _read_manifest(data)
    _check(samples)
    return samples


@dataclass(frozen=True, slots=True)
class Division:
    """The samples of one data set, by what they are for."""

    fit: Sequence[Sample]
    validation: Sequence[Sample]
    test: Sequence[Sample]


def divide(data: Path, validation_share: float, seed: int) -> Division:
    """Read a data set and divide its training samples once more, by patient.

    Raises
    ------
    DataError
        As `read_samples` and `split_validation` do.
    """
    samples = read_samples(data)
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == "test"]
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


def load_images(samples: Sequence[Sample], what: str) -> NDArray[np.uint8]:
    """Decode and resize through serving's own code: uint8 [N, 1, 224, 224].

    Held in memory: 50 kB an image.

    Raises
    ------
    DataError
        Naming every image that can't be read.
    """
    images = np.empty((len(samples), 1, SIDE_PX, SIDE_PX), np.uint8)
    unreadable: list[str] = []
    for index, sample in enumerate(tqdm(samples, desc=f"reading {what}", unit="image")):
        try:
            images[index] = resize(decode(sample.path.read_bytes(), Limits(min_side_px=32)))
        except (OSError, RequestError) as error:
            unreadable.append(f"{sample.path}: {error}")
    if unreadable:
        raise DataError(reason=f"{len(unreadable)} unreadable image(s):\n" + "\n".join(unreadable))
    return images


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
    except (OSError, UnicodeDecodeError):
        raise DataError(
            reason=f"{manifest} can't be read; give a manifest.csv or a folder"
        ) from None
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise DataError(reason=f"{manifest} has no rows, or lacks the column(s) {missing}")
    root = manifest.parent.resolve()
    samples = []
    for line, row in enumerate(rows, start=2):
        blank = [name for name in _COLUMNS if not row[name]]
        if blank:
            raise DataError(reason=f"{manifest} line {line} has nothing in the column(s) {blank}")
        path = root / row["path"]
        if not path.resolve().is_relative_to(root):
            raise DataError(reason=f"{manifest} line {line}: {row['path']} leaves the folder")
        label = _label(row["label"], f"{manifest} line {line}")
        licence = row.get("licence") or "not stated"
        samples.append(Sample(path, label, row["patient"], row["split"], row["source"], licence))
    return samples


def _read_folder(root: Path) -> list[Sample]:
    samples = []
    for path in sorted(root.glob("*/*/*")):
        split, label_name = path.parts[-3:-1]
        if split in _SPLITS and path.suffix.lower() in _SUFFIXES:
            label = _label(label_name, str(path.parent))
            patient = f"{split}/{label_name}/{path.name}"
            samples.append(Sample(path, label, patient, split, root.name, "not stated"))
    return samples


def _label(name: str, where: str) -> int:
    try:
        return LABEL_INDEX[name]  # type: ignore[index]
    except KeyError:
        known = ", ".join(LABEL_INDEX)
        raise DataError(reason=f"{where}: unknown label {name!r}; known: {known}") from None


def _check(samples: Sequence[Sample]) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.split not in _SPLITS:
            raise DataError(reason=f"{sample.path}: split {sample.split!r} is not train or test")
        splits[sample.patient].add(sample.split)
    torn = sorted(patient for patient, names in splits.items() if len(names) > 1)
    if torn:
        raise DataError(reason=f"{len(torn)} patient(s) in both splits, {torn[0]!r} for one")
    for split in _SPLITS:
        present = {sample.label for sample in samples if sample.split == split}
        empty = [label.id for index, label in enumerate(LABELS) if index not in present]
        if empty:
            raise DataError(reason=f"the {split} split has no image labelled {', '.join(empty)}")
