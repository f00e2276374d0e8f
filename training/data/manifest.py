"""Labelled X-rays: which there are, who they show, which split they belong to.

Two layouts are read:

- ``manifest.csv`` with the columns path, label, patient, split (train or test), source and,
  if known, licence; paths are relative to the manifest's folder, or to a root that is given, in
  which they may be absolute too.
- ImageFolder: ``<split>/<label>/<file>`` below a folder. A pattern tells the patient by the file's
  name; without one every file counts as its own.

A label is one of `training.config.LABELS`, several of them joined by ``|`` (one of these, nobody
said which), or ``other`` (a finding that is none of them).
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

from training.config import LABELS, compile_pattern
from training.data.faults import DataError, Faults, name_some
from training.data.targets import Targets, TargetsUnknown, name_targets, read_targets

DataSets = Path | Sequence[Path]
"""One data set or several: manifests, or folders."""

SPLITS: Final = ("train", "test")
_COLUMNS: Final = ("path", "label", "patient", "split", "source")
_SUFFIXES: Final = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image.

    `targets` are the labels that it may have, as indices into `training.config.LABELS`: one if
    it is known, several if it is one of these, none if it is another finding. `subsets` names the
    manifest's further columns that hold a 1 in its row.
    """

    path: Path
    targets: Targets
    patient: str
    split: str
    source: str
    licence: str
    subsets: frozenset[str] = frozenset()

    @property
    def label(self) -> int | None:
        """The one label that it has; None if it is known only as one of several, or other."""
        return next(iter(self.targets)) if len(self.targets) == 1 else None

    @property
    def named(self) -> str:
        """Its label as a manifest gives it."""
        return name_targets(self.targets)


def read_samples(
    data: DataSets,
    splits: Sequence[str] = SPLITS,
    patient_pattern: str | None = None,
    root: Path | None = None,
) -> list[Sample]:
    """List the images of manifests (files) or ImageFolders (folders), one set after the other.

    Who has one name in several manifests is one patient. Of several ImageFolders patients are
    their own, whatever their names.

    Parameters
    ----------
    patient_pattern : of ImageFolders, as `training.config.compile_pattern` takes it: what its
        group matches, anywhere in a file's name, is the patient
    root : of manifests: the folder that their paths are relative to, and have to lie in

    Raises
    ------
    DataError
        Naming every fault: a file, a column or a label that is missing or unknown, an image
        outside the folder or listed twice, a patient in two splits, a label that has no image
        of its own in one of `splits`; a name without a patient, a pattern where manifests name
        them.
    """
    sets = list_sets(data)
    if patient_pattern is not None and not any(map(is_image_folder, sets)):
        raise DataError(reason="a manifest names its patients: patient_pattern is for folders")
    samples: list[Sample] = []
    faults: list[str] = []
    for each in sets:
        read, single = _read_set(each, patient_pattern, root, several=len(sets) > 1)
        samples += read
        faults += single.lines()
    empty = [] if faults else _find_empty(samples, splits)  # it may be the faulty ones that lack
    faults += _find_faults(samples) + empty
    if faults:
        raise DataError(reason="\n".join(faults))
    return samples


def list_sets(data: DataSets) -> list[Path]:
    """Return the data sets, each as it was given."""
    return [data] if isinstance(data, Path) else list(data)


def _read_set(
    data: Path, pattern: str | None, root: Path | None, *, several: bool
) -> tuple[list[Sample], Faults]:
    """Read one data set; faults of one among several name it."""
    if is_image_folder(data):
        samples, faults = _read_folder(data, pattern)
        if several:
            own = [replace(each, patient=f"{data.resolve()}: {each.patient}") for each in samples]
            return own, faults
        return samples, faults
    manifest = data / "manifest.csv" if data.is_dir() else data
    return _read_manifest(manifest, root, f"{manifest}, " if several else "")


def is_image_folder(data: Path) -> bool:
    """Tell whether images are in folders that no manifest describes."""
    return data.is_dir() and not (data / "manifest.csv").is_file()


def lacks_patients(data: DataSets, patient_pattern: str | None) -> bool:
    """Tell whether every file of a set counts as a patient of its own."""
    return patient_pattern is None and any(map(is_image_folder, list_sets(data)))


NO_PATIENTS: Final = (
    "folders name no patient, so every file counts as its own, and splits may share patients: "
    "give --patient-pattern or a manifest.csv if a patient has several images"
)
"""What is to be said where `lacks_patients` holds."""


def _read_manifest(manifest: Path, root: Path | None, place: str) -> tuple[list[Sample], Faults]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM
            rows = list(csv.DictReader(file, delimiter=_delimiter(file)))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(
            reason=f"{manifest} can't be read; give a manifest.csv or a folder"
        ) from None
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise DataError(reason=f"{manifest} has no rows, or lacks the column(s) {missing}")
    base = (root or manifest.parent).resolve()
    samples = []
    faults = Faults()
    for line, row in enumerate(rows, start=2):
        with faults.at(f"{place}line {line}"):
            samples.append(_read_row(row, base))
    return samples, faults


def _delimiter(file: TextIO) -> str:
    """Tell by the first line: spreadsheets write semicolons where commas are decimal marks."""
    head = file.readline()
    file.seek(0)
    return max(",;\t", key=head.count)


def _read_row(row: dict[str, str], root: Path) -> Sample:
    blank = [name for name in _COLUMNS if not row[name]]
    if blank:
        raise DataError(reason=f"nothing in the column(s) {blank}")
    path = root / row["path"]
    if "\0" in row["path"] or not path.resolve().is_relative_to(root):
        raise DataError(reason="the path leaves the folder")
    licence = row.get("licence") or "not stated"
    targets = _targets(row["label"])
    subsets = frozenset(name for name, value in row.items() if name and value == "1")
    return Sample(path, targets, row["patient"], row["split"], row["source"], licence, subsets)


def _read_folder(root: Path, pattern: str | None) -> tuple[list[Sample], Faults]:
    finder = None if pattern is None else compile_pattern(pattern)
    source = root.resolve().name
    samples = []
    faults = Faults()
    for path in sorted(root.glob("*/*/*")):
        split, label_name = path.parts[-3:-1]
        if path.suffix.lower() in _SUFFIXES:
            with faults.at(str(path)):
                targets = _targets(label_name)
                patient = _find_patient(path, finder)
                samples.append(Sample(path, targets, patient, split, source, "not stated"))
    return samples, faults


def _find_patient(path: Path, finder: re.Pattern[str] | None) -> str:
    if finder is None:
        return "/".join(path.parts[-3:])
    found = finder.search(path.name)
    if not (found and found[1]):
        raise DataError(reason=f"patient_pattern {finder.pattern!r} finds no patient in the name")
    return found[1]


def _targets(label: str) -> Targets:
    try:
        return read_targets(label)
    except TargetsUnknown as error:
        raise DataError(reason=str(error)) from None


def _find_faults(samples: Sequence[Sample]) -> list[str]:
    """Return what is wrong between images, a line each."""
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
        faults.append(f"{len(torn)} patient(s) in both splits: {name_some(torn)}")
    repeated = sorted(str(path) for path, count in uses.items() if count > 1)
    if repeated:
        faults.append(f"{len(repeated)} image(s) listed twice: {name_some(repeated)}")
    return faults


def _find_empty(samples: Sequence[Sample], splits: Sequence[str]) -> list[str]:
    faults = []
    for split in splits:
        present = {sample.label for sample in samples if sample.split == split}
        empty = [label.id for index, label in enumerate(LABELS) if index not in present]
        if empty:
            faults.append(f"the {split} split has no image labelled {', '.join(empty)}")
    return faults
