"""What a model answered for each image: ``predictions.csv``.

A row an image. It names files and patients as the data set does, and what was said of them: no
film, but data about people all the same. It lies with an evaluation, never in a bundle.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from app.model.labels import LABEL_IDS
from training.data.faults import DataError
from training.data.manifest import DataSets, Sample
from training.data.splits import find_folders
from training.data.targets import TargetsUnknown, read_targets
from training.files import write_whole

PREDICTIONS_FILE: Final = "predictions.csv"

_TOLD: Final = ("data_set", "path", "split", "source", "label", "patient")
_COLUMNS: Final = (
    *_TOLD,
    *(f"probability_{label}" for label in LABEL_IDS),
    *(f"logit_{label}" for label in LABEL_IDS),
    *("distance", "status", "called"),
)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers, a row an image.

    Parameters
    ----------
    data_sets, paths : text [N], the data set's folder by its name, and the file within it
    splits, sources, labels, patients : text [N], as the manifest has them; the split is validation
        for what was held out of training
    probabilities, logits : float32 [N, 4], in the order of `LABEL_IDS`; logits before temperature
    distance : float32 [N], as serving measures it; NaN where nothing measures it yet
    statuses : text [N], what serving would say of the image, age and view left aside: ok,
        uncertain or refused; nothing where no rule for it was chosen yet
    """

    data_sets: NDArray[np.str_]
    paths: NDArray[np.str_]
    splits: NDArray[np.str_]
    sources: NDArray[np.str_]
    labels: NDArray[np.str_]
    patients: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    distance: NDArray[np.float32]
    statuses: NDArray[np.str_]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    @property
    def called(self) -> list[str]:
        """The likeliest label of each image."""
        return [LABEL_IDS[index] for index in self.probabilities.argmax(1)]

    @property
    def truths(self) -> NDArray[np.int64]:
        """The index of each image's one label, -1 of a set or another finding: [N]."""
        order = {label: index for index, label in enumerate(LABEL_IDS)}
        return np.array([order.get(label, -1) for label in self.labels], np.int64)

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Self:
        """Return some of the rows, by index or by a mask."""
        return type(self)(*(getattr(self, each.name)[rows] for each in fields(self)))

    def keys(self) -> list[tuple[str, str]]:
        """Return what names each image: its data set and its path."""
        return list(zip(self.data_sets.tolist(), self.paths.tolist(), strict=True))


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Return several as one, in their order."""
    return Predictions(
        *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(parts[0]))
    )


def tell_statuses(
    refused: NDArray[np.bool_], answered: NDArray[np.bool_] | None
) -> NDArray[np.str_]:
    """Return what would be said of each image; without a rule for `ok` nothing is withheld."""
    ok = np.ones(len(refused), bool) if answered is None else answered
    return np.where(refused, "refused", np.where(ok, "ok", "uncertain"))


class Places:
    """Where images lie: the data set's folder by its name, and the path inside."""

    def __init__(self, data: DataSets, root: Path | None) -> None:
        folders = [root] if root else find_folders(data)
        resolved = [folder.resolve() for folder in folders]
        names = Counter(folder.name for folder in resolved)
        self._names = {
            folder: folder.name if names[folder.name] == 1 else "/".join(folder.parts[-2:])
            for folder in resolved
        }

    def find(self, sample: Sample) -> tuple[str, str]:
        """Return the name of an image's data set, and its path there; the innermost folder's."""
        path = sample.path.resolve()
        for folder in sorted(self._names, key=lambda each: -len(each.parts)):
            if path.is_relative_to(folder):
                return self._names[folder], path.relative_to(folder).as_posix()
        # A link in an ImageFolder that leads out of it.
        return "", sample.path.name


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write ``predictions.csv``, whole or not at all; numbers so that they read back the same."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_write_rows(predictions))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())


def _write_rows(predictions: Predictions) -> Iterator[list[str]]:
    columns = (
        *(predictions.data_sets, predictions.paths, predictions.splits),
        *(predictions.sources, predictions.labels, predictions.patients),
    )
    for row, called in enumerate(predictions.called):
        numbers = (
            *predictions.probabilities[row].tolist(),
            *predictions.logits[row].tolist(),
            float(predictions.distance[row]),
        )
        told = [str(column[row]) for column in columns]
        written = ["" if np.isnan(number) else f"{number:.9g}" for number in numbers]
        yield [*told, *written, str(predictions.statuses[row]), called]


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.csv``.

    Raises
    ------
    DataError
        If it can't be read, lacks a column, or holds what is no number, label or status.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(reason=f"{path} can't be read as a predictions.csv") from None
    missing = [name for name in _COLUMNS if not rows or rows[0].get(name) is None]
    if missing:
        raise DataError(reason=f"{path} has no rows, or lacks the column(s) {missing}")
    try:
        return _parse(rows)
    except (ValueError, TypeError) as error:  # TypeError: a row that is too short
        raise DataError(reason=f"{path} is no predictions.csv: {error}") from None


def _parse(rows: Sequence[Mapping[str, str]]) -> Predictions:
    def text(name: str) -> NDArray[np.str_]:
        return np.array([row[name] for row in rows], np.str_)

    def numbers(name: str) -> NDArray[np.float32]:
        columns = [f"{name}_{label}" for label in LABEL_IDS]
        return np.array([[float(row[column]) for column in columns] for row in rows], np.float32)

    for label in {row["label"] for row in rows}:
        try:
            read_targets(label)
        except TargetsUnknown as error:
            raise ValueError(str(error)) from None
    unknown = {row["status"] for row in rows} - {"ok", "uncertain", "refused", ""}
    if unknown:
        raise ValueError(f"unknown status {min(unknown)!r}")
    data_sets, paths, splits, sources, labels, patients = map(text, _TOLD)
    return Predictions(
        data_sets,
        paths,
        splits,
        sources,
        labels,
        patients,
        probabilities=numbers("probability"),
        logits=numbers("logit"),
        distance=np.array([float(row["distance"] or "nan") for row in rows], np.float32),
        statuses=text("status"),
    )
