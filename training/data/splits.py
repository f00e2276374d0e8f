"""The splits of a data set: what its samples are for (fitting, validation, test), by patient."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from app.model.card import DataSource
from training.config import LABELS, Config
from training.data.faults import DataError, name_some
from training.data.images import ImageSet, load_images
from training.data.manifest import DataSets, Sample, list_sets, read_samples
from training.data.targets import order_of


@dataclass(frozen=True, slots=True)
class Division:
    """The samples of one data set, by what they are for.

    `unlearned` are training samples of sources that nothing is learned from.
    """

    fit: Sequence[Sample]
    validation: Sequence[Sample]
    test: Sequence[Sample]
    unlearned: Sequence[Sample] = ()


@dataclass(frozen=True, slots=True)
class Splits:
    """The images of one data set, by what they are for."""

    fit: ImageSet
    validation: ImageSet
    test: ImageSet

    def singly(self) -> "Splits":
        """Return the images that have one label each: what figures and class means are of."""
        return Splits(self.fit.singly(), self.validation.singly(), self.test.singly())


def divide_data(config: Config) -> Division:
    """Divide the data sets of a run as its settings say, images of other findings too.

    Raises
    ------
    DataError
        As `divide` does.
    """
    division = divide(
        config.data,
        config.validation_share,
        config.seed,
        config.leave_out,
        config.subset,
        config.patient_pattern,
        config.root,
        config.unlearned_sources,
    )
    if config.other == "leave_out":
        return replace(division, fit=[sample for sample in division.fit if sample.targets])
    return division


def divide(
    data: DataSets,
    validation_share: float,
    seed: int,
    leave_out: Sequence[str] = (),
    subset: str | None = None,
    patient_pattern: str | None = None,
    root: Path | None = None,
    unlearned_sources: Sequence[str] = (),
) -> Division:
    """Read data sets and divide their training samples once more, by patient.

    `leave_out` names training images, relative to their data set's folder or to `root`, that are
    not used; with `subset`, only those are that hold a 1 in the manifest's column of that name. A
    pattern and a root are as of `read_samples`. Training images of `unlearned_sources` are set
    aside.

    Raises
    ------
    DataError
        As `read_samples` and `split_validation` do; or if a source that is named has no training
        image.
    """
    samples = read_samples(data, patient_pattern=patient_pattern, root=root)
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == "test"]
    bases = [*find_folders(data), *([root] if root else [])]
    places = {name: {(base / name).resolve() for base in bases} for name in leave_out}
    unwanted = set[Path]().union(*places.values())
    known = {sample.path.resolve() for sample in train}
    absent = [name for name, paths in places.items() if not paths & known]
    if absent:
        reason = (
            f"leave_out names {len(absent)} image(s) that are not in training: {name_some(absent)}"
        )
        raise DataError(reason=reason)
    train = [sample for sample in train if sample.path.resolve() not in unwanted]
    if subset is not None:
        train = [sample for sample in train if subset in sample.subsets]
    unlearned = [sample for sample in train if sample.source in unlearned_sources]
    unknown = sorted(set(unlearned_sources) - {sample.source for sample in unlearned})
    if unknown:
        reason = f"unlearned_sources: no training image is of {', '.join(unknown)}"
        raise DataError(reason=reason)
    train = [sample for sample in train if sample.source not in unlearned_sources]
    return Division(*split_validation(train, validation_share, seed), test, unlearned)


def split_validation(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Divide training samples into (fit, validation), by patient, labels in like shares.

    Sets of labels and other findings are divided so too, as far as there are enough of them.

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
    kinds = sorted({sample.named for sample in samples}, key=order_of)
    strata = [kinds.index(sample.named) for sample in samples]
    patients = [sample.patient for sample in samples]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # of sets
        fit, validation = next(folds.split(strata, strata, patients))
    return [samples[i] for i in fit], [samples[i] for i in validation]


def describe_sources(samples: Sequence[Sample]) -> list[DataSource]:
    """Count the images of each source by label, sets and other findings among them."""
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.source, sample.licence][sample.named] += 1
    return [
        DataSource(source=source, licence=licence, images=dict(sorted(images.items())))
        for (source, licence), images in sorted(counts.items())
    ]


def find_folders(data: DataSets) -> list[Path]:
    """Return the folders that data sets lie in."""
    return [each if each.is_dir() else each.parent for each in list_sets(data)]


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
