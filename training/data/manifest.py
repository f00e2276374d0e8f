"""Labelled X-rays: which there are, who they show, which split they belong to.

Two layouts are read:

- ``manifest.csv`` with the columns path, label, patient, split (train or test), source and,
  if known, licence; paths are relative to the manifest's folder.
- ImageFolder: ``<split>/<label>/<file>`` below a folder. A pattern tells the patient by the file's
  name; without one every file counts as its own.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from app.errors import NeumoError
from app.language import Text
from training.config import LABELS, compile_pattern

LABEL_INDEX: Final = {label.id: index for index, label in enumerate(LABELS)}
SPLITS: Final = ("train", "test")
_COLUMNS: Final = ("path", "label", "patient", "split", "source")
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


def read_samples(
    data: Path, splits: Sequence[str] = SPLITS, patient_pattern: str | None = None
) -> list[Sample]:
    """List the images of a manifest (a file) or an ImageFolder (a folder).

    Parameters
    ----------
    patient_pattern : of an ImageFolder, as `training.config.compile_pattern` takes it: what its
        group matches, anywhere in a file's name, is the patient

    Raises
    ------
    DataError
        Naming every fault: a file, a column or a label that is missing or unknown, an image
        outside the folder or listed twice, a patient in two splits, a label that has no image
        in one of `splits`; a name without a patient, a pattern where a manifest names them.
    """
    if is_image_folder(data):
        samples, single = _read_folder(data, patient_pattern)
    elif patient_pattern is not None:
        raise DataError(reason="a manifest names its patients: patient_pattern is for folders")
    else:
        samples, single = _read_manifest(data / "manifest.csv" if data.is_dir() else data)
    faults = single.lines()
    empty = [] if faults else _find_empty(samples, splits)  # it may be the faulty ones that lack
    faults += _find_faults(samples) + empty
    if faults:
        raise DataError(reason="\n".join(faults))
    return samples


def is_image_folder(data: Path) -> bool:
    """Tell whether images are in folders that no manifest describes."""
    return data.is_dir() and not (data / "manifest.csv").is_file()


def lacks_patients(data: Path, patient_pattern: str | None) -> bool:
    """Tell whether every file counts as a patient of its own."""
    return patient_pattern is None and is_image_folder(data)


NO_PATIENTS: Final = (
    "folders name no patient, so every file counts as its own, and splits may share patients: "
    "give --patient-pattern or a manifest.csv if a patient has several images"
)
"""What is to be said where `lacks_patients` holds."""


def _read_manifest(manifest: Path) -> tuple[list[Sample], "_Faults"]:
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
    root = manifest.parent.resolve()
    samples = []
    faults = _Faults()
    for line, row in enumerate(rows, start=2):
        with faults.at(f"line {line}"):
            samples.append(_read_row(row, root))
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
    label = _label(row["label"])
    subsets = frozenset(name for name, value in row.items() if name and value == "1")
    return Sample(path, label, row["patient"], row["split"], row["source"], licence, subsets)


def _read_folder(root: Path, pattern: str | None) -> tuple[list[Sample], "_Faults"]:
    finder = None if pattern is None else compile_pattern(pattern)
    source = root.resolve().name
    samples = []
    faults = _Faults()
    for path in sorted(root.glob("*/*/*")):
        split, label_name = path.parts[-3:-1]
        if path.suffix.lower() in _SUFFIXES:
            with faults.at(str(path)):
                label = _label(label_name)
                patient = _find_patient(path, finder)
                samples.append(Sample(path, label, patient, split, source, "not stated"))
    return samples, faults


def _find_patient(path: Path, finder: re.Pattern[str] | None) -> str:
    if finder is None:
        return "/".join(path.parts[-3:])
    found = finder.search(path.name)
    if not (found and found[1]):
        raise DataError(reason=f"patient_pattern {finder.pattern!r} finds no patient in the name")
    return found[1]


def _label(name: str) -> int:
    try:
        return LABEL_INDEX[name]  # type: ignore[index]
    except KeyError:
        known = ", ".join(LABEL_INDEX)
        raise DataError(reason=f"unknown label {name!r}; known: {known}") from None


class _Faults:
    """What is wrong in single images, by reason: where, in order."""

    def __init__(self) -> None:
        self._places: defaultdict[str, list[str]] = defaultdict(list)

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note a DataError raised inside, and go on."""
        try:
            yield
        except DataError as error:
            self._places[str(error)].append(place)

    def lines(self) -> list[str]:
        """Return a line for each reason, with how many and where."""
        return [
            f"{len(places)} image(s): {reason}: {name_some(places)}"
            for reason, places in self._places.items()
        ]


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


def name_some(names: Sequence[str]) -> str:
    """Name the first few of many, for an error."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."
