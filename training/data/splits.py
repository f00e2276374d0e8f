"""The splits of a data set: what its samples are for (fitting, validation, test), by patient."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from app.model.card import DataSource
from training.config import LABELS
from training.data.images import ImageSet, load_images
from training.data.manifest import DataError, Sample, name_some, read_samples


@dataclass(frozen=True, slots=True)
class Division:
    """The samples of one data set, by what they are for."""

    fit: Sequence[Sample]
    validation: Sequence[Sample]
    test: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Splits:
    """The images of one data set, by what they are for."""

    fit: ImageSet
    validation: ImageSet
    test: ImageSet


def divide(
    data: Path,
    validation_share: float,
    seed: int,
    leave_out: Sequence[str] = (),
    subset: str | None = None,
    patient_pattern: str | None = None,
) -> Division:
    """Read a data set and divide its training samples once more, by patient.

    `leave_out` names training images, relative to the data set's folder, that are not used;
    with `subset`, only those are that hold a 1 in the manifest's column of that name. A
    pattern is as of `read_samples`.

    Raises
    ------
    DataError
        As `read_samples` and `split_validation` do.
    """
    samples = read_samples(data, patient_pattern=patient_pattern)
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == "test"]
    root = data if data.is_dir() else data.parent
    unwanted = {(root / path).resolve(): path for path in leave_out}
    known = {sample.path.resolve() for sample in train}
    absent = [name for path, name in unwanted.items() if path not in known]
    if absent:
        reason = (
            f"leave_out names {len(absent)} image(s) that are not in training: {name_some(absent)}"
        )
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


def load_splits(division: Division) -> Splits:
    """Read the images of all three splits.

    Raises
    ------
    DataError
        As `load_images` does.
    """
    return Splits(
        load_set(division.fit, "fit"),
        load_set(division.validation, "validation"),
        load_set(division.test, "test"),
    )


def load_set(samples: Sequence[Sample], split: str) -> ImageSet:
    """Read the images of one split, whose name is shown meanwhile.

    Raises
    ------
    DataError
        As `load_images` does.
    """
    return ImageSet(load_images(samples, split), samples)
