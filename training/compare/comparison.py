"""Two models compared on images that neither was fitted to, second less first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from app.errors import NeumoError
from app.language import Text
from app.machine import count_cpus
from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.labels import LABEL_IDS, LabelId
from app.model.session import Network
from training.asking.unseen import find_unseen
from training.data.faults import name_some
from training.data.images import ImageSet
from training.data.manifest import Sample, read_samples
from training.data.splits import load_set
from training.measure.evaluation import card_rules, in_our_order, predict_images, run_network
from training.measure.predictions import Places, Predictions, read_predictions
from training.metrics.bootstrap import draw_patients
from training.metrics.paired import (
    Changes,
    Difference,
    compare_areas,
    compare_calibration,
    compare_rates,
    count_changes,
)

_SEED: Final = 0


class ComparisonImpossible(NeumoError):
    """Two models can't be compared."""

    code = "comparison_impossible"
    title = Text("The two can't be compared", "No se pueden comparar")
    advice = Text("{reason}", "{reason}")


@dataclass(frozen=True, slots=True)
class Compared:
    """How two models differ, and on what.

    Parameters
    ----------
    names : of the first and the second
    split : validation, of which only images that neither was fitted to; or test
    left_out : images that one of them has answers for, and the other none
    notes : what to know of these images
    figures : by the figure's name
    changes : whom which of them is right of
    sources : by source and label: shares called right, and whom which is right of
    """

    names: tuple[str, str]
    split: str
    images: int
    patients: int
    left_out: int
    notes: list[str]
    figures: dict[str, Difference]
    changes: Changes
    sources: dict[str, dict[LabelId, tuple[int, Difference, Changes]]]


def compare(
    first: str,
    second: str,
    split: str,
    data: Sequence[Path] = (),
    pattern: str | None = None,
    root: Path | None = None,
) -> Compared:
    """Compare two bundles, by name or folder, or two files of predictions, or one of each.

    Raises
    ------
    ComparisonImpossible
        If there is a bundle and no data, or nothing that both answered for.
    BundleError, DataError, SourcesDiffer
        If one can't be read, or what it was fitted to can't be told.
    """
    given = [_read(each) for each in (first, second)]
    bundles = [each for each in given if isinstance(each, Bundle)]
    notes: list[str] = []
    images = None
    if bundles:
        if not data:
            raise ComparisonImpossible(
                reason="A bundle is asked anew: give --data. Two predictions.csv need none."
            )
        samples = _choose(bundles, split, data, pattern, root, notes)
        images = load_set(samples, split)
    places = Places(data, root)
    told = [
        _take_split(each, split)
        if isinstance(each, Predictions)
        else _ask(each, images, split, places)
        for each in given
    ]
    pair, left_out = _match(told[0], told[1])
    names = (
        _name(first, given[0]),
        _name(second, given[1]),
    )
    return _work_out(names, split, pair, left_out, notes)


def _read(given: str) -> Bundle | Predictions:
    path = Path(given)
    if path.suffix.lower() == ".csv" or path.is_file():
        return read_predictions(path)
    return read_bundle(find_bundle(given))


def _name(given: str, read: Bundle | Predictions) -> str:
    return read.card.name if isinstance(read, Bundle) else "/".join(Path(given).parts[-2:])


def _choose(
    bundles: Sequence[Bundle],
    split: str,
    data: Sequence[Path],
    pattern: str | None,
    root: Path | None,
    notes: list[str],
) -> list[Sample]:
    """Return the images that the bundles are asked about, and note how they were chosen."""
    if split == "test":
        read = read_samples(data, ("test",), pattern, root)
        return [each for each in read if each.split == "test" and each.label is not None]
    samples, fitted = find_unseen([bundle.card for bundle in bundles], data, pattern, root)
    for name, count in fitted.items():
        notes.append(f"{name} was fitted to {count} images of this data; none of them is here.")
    return samples


def _ask(bundle: Bundle, images: ImageSet | None, split: str, places: Places) -> Predictions:
    assert images is not None  # noqa: S101 - there is a bundle
    if not images.samples:
        raise ComparisonImpossible(
            reason="No image of this data is left that none of them was fitted to."
        )
    network = Network(bundle.graph, count_cpus())
    answers = run_network(network, images.images, f"{split} by {bundle.card.name}")
    outputs = in_our_order(answers, bundle.card.labels)
    return predict_images(outputs, images, split, card_rules(bundle.card), places)


def _take_split(told: Predictions, split: str) -> Predictions:
    rows = (told.splits == split) & (told.truths >= 0)
    if not rows.any():
        there = ", ".join(sorted(set(told.splits.tolist())))
        raise ComparisonImpossible(
            reason=f"There is no {split} in one predictions.csv, only {there}. --split names which."
        )
    return told.take(rows)


def _match(first: Predictions, second: Predictions) -> tuple[tuple[Predictions, Predictions], int]:
    """Return the rows of the images that both answered for, and how many are of one alone."""
    places = {key: row for row, key in enumerate(second.keys())}
    pairs = [(row, places[key]) for row, key in enumerate(first.keys()) if key in places]
    if not pairs:
        raise ComparisonImpossible(
            reason="There is no image that both have answers for: a data set's folder and the path "
            "within it have to be the same."
        )
    ours, theirs = (list(rows) for rows in zip(*pairs, strict=True))
    pair = first.take(ours), second.take(theirs)
    torn = pair[0].paths[pair[0].labels != pair[1].labels].tolist()
    if torn:
        raise ComparisonImpossible(
            reason=f"{len(torn)} image(s) have another label in each: {name_some(torn)}"
        )
    return pair, len(first) + len(second) - 2 * len(pairs)


def _work_out(
    names: tuple[str, str],
    split: str,
    pair: tuple[Predictions, Predictions],
    left_out: int,
    notes: list[str],
) -> Compared:
    truths = pair[0].truths
    patients = pair[0].patients.tolist()
    weights = draw_patients(truths, patients, _SEED)
    everything = np.ones(len(truths), bool)
    answers = [each.probabilities for each in pair]
    right = [each.argmax(1) == truths for each in answers]
    ok = [each.statuses == "ok" for each in pair]
    present = [i for i in range(len(LABEL_IDS)) if 0 < (truths == i).sum() < len(truths)]
    figures = {"accuracy": compare_rates(right[0], right[1], everything, patients, weights)}
    if present:
        figures["macro-AUROC"] = compare_areas(
            [truths == i for i in present],
            [answers[0][:, i] for i in present],
            [answers[1][:, i] for i in present],
            patients,
            weights,
        )
    for i, label in enumerate(LABEL_IDS):
        if (truths == i).any():
            figures[f"sensitivity, {label}"] = compare_rates(
                right[0], right[1], truths == i, patients, weights
            )
    figures["ECE"] = compare_calibration(truths, answers[0], answers[1], weights)
    if all((each.statuses != "").any() for each in pair):  # a checkpoint's have none
        figures["answered ok"] = compare_rates(ok[0], ok[1], everything, patients, weights)
        wrong = [told & ~own for told, own in zip(ok, right, strict=True)]
        figures["ok and wrong"] = compare_rates(wrong[0], wrong[1], everything, patients, weights)
    missing = [label for i, label in enumerate(LABEL_IDS) if not (truths == i).any()]
    if missing:
        notes = [*notes, f"There is no image of {', '.join(missing)}."]
    return Compared(
        names=names,
        split=split,
        images=len(truths),
        patients=len(set(patients)),
        left_out=left_out,
        notes=notes,
        figures=figures,
        changes=count_changes(right[0], right[1], patients),
        sources={
            source: {
                label: (
                    int(rows.sum()),
                    compare_rates(right[0], right[1], rows, patients, weights),
                    _count_within(right[0], right[1], rows, pair[0].patients),
                )
                for i, label in enumerate(LABEL_IDS)
                if (rows := (pair[0].sources == source) & (truths == i)).any()
            }
            for source in sorted(set(pair[0].sources.tolist()))
        },
    )


def _count_within(
    first: np.ndarray[tuple[int], np.dtype[np.bool_]],
    second: np.ndarray[tuple[int], np.dtype[np.bool_]],
    rows: np.ndarray[tuple[int], np.dtype[np.bool_]],
    patients: np.ndarray[tuple[int], np.dtype[np.str_]],
) -> Changes:
    return count_changes(first[rows], second[rows], patients[rows].tolist())
