"""training.measure.predictions: a table that reads back as it was written."""

import csv
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from app.model.labels import LABEL_IDS
from tests.training.drawings import make_row, write_data_set, write_manifest
from training.data.faults import DataError
from training.data.manifest import read_samples
from training.measure.predictions import (
    Places,
    Predictions,
    join_predictions,
    read_predictions,
    tell_statuses,
    write_predictions,
)


def make_predictions(count: int = 5, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, 4)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = ["normal", "covid19", "bacterial_pneumonia|viral_pneumonia", "other", "normal"]
    return Predictions(
        data_sets=np.array(["cxr"] * count),
        paths=np.array([f"train/a, {row}.png" for row in range(count)]),
        splits=np.array(["validation"] * count),
        sources=np.array(["a", "b"] * count)[:count],
        labels=np.array(labels * count)[:count],
        patients=np.array([f"person {row // 2}" for row in range(count)]),
        probabilities=shares.astype(np.float32),
        logits=logits,
        distance=generator.uniform(100, 900, count).astype(np.float32),
        statuses=np.array(["ok", "uncertain", "refused"] * count)[:count],
    )


def equal(one: Predictions, other: Predictions) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(Predictions)]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def test_what_was_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    told = make_predictions()
    write_predictions(tmp_path / "a" / "predictions.csv", told)
    assert equal(read_predictions(tmp_path / "a" / "predictions.csv"), told)


def test_a_row_names_the_image_and_all_that_was_said_of_it(tmp_path: Path) -> None:
    told = make_predictions()
    write_predictions(tmp_path / "predictions.csv", told)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("data_set", "path", "split", "source", "label", "patient"),
        *(f"probability_{label}" for label in LABEL_IDS),
        *(f"logit_{label}" for label in LABEL_IDS),
        *("distance", "status", "called"),
    ]
    assert rows[1]["path"] == "train/a, 1.png"
    assert rows[3]["label"] == "other"
    for row, logits in zip(rows, told.logits, strict=True):
        assert row["called"] == LABEL_IDS[int(logits.argmax())]


def test_a_distance_that_nothing_measures_is_blank(tmp_path: Path) -> None:
    told = make_predictions(1)
    told.distance[:] = np.nan
    write_predictions(tmp_path / "predictions.csv", told)
    text = (tmp_path / "predictions.csv").read_text(encoding="utf-8")
    assert ",,ok," in text.splitlines()[1]
    assert equal(read_predictions(tmp_path / "predictions.csv"), told)


def test_truths_are_of_images_of_one_label() -> None:
    assert make_predictions().truths.tolist() == [0, 1, -1, -1, 0]


def test_several_become_one_and_some_are_taken() -> None:
    first, second = make_predictions(3), make_predictions(2, seed=1)
    both = join_predictions([first, second])
    assert len(both) == 5
    assert equal(both.take([0, 1, 2]), first)
    assert equal(both.take(np.arange(5) > 2), second)


def test_refused_comes_before_uncertain_and_without_a_rule_nothing_is_withheld() -> None:
    refused = np.array([True, False, False])
    answered = np.array([True, True, False])
    assert tell_statuses(refused, answered).tolist() == ["refused", "ok", "uncertain"]
    assert tell_statuses(refused, None).tolist() == ["refused", "ok", "ok"]


# ---------------------------------------------------------------- where images lie


def test_images_are_named_by_their_data_sets_folder(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        write_data_set(folder, train=1, test=1)
    manifests = [folder / "manifest.csv" for folder in folders]
    places = Places(manifests, None)
    found = {places.find(sample) for sample in read_samples(manifests)}
    assert ("second", "train-normal-0.jpg") in found
    assert len(found) == 16


def test_folders_of_one_name_are_told_apart_by_those_above(tmp_path: Path) -> None:
    folders = [tmp_path / above / "data" for above in ("one", "two")]
    for folder in folders:
        folder.mkdir(parents=True)
        write_data_set(folder, train=1, test=1)
    manifests = [folder / "manifest.csv" for folder in folders]
    places = Places(manifests, None)
    names = {places.find(sample)[0] for sample in read_samples(manifests)}
    assert names == {"one/data", "two/data"}


def test_with_a_root_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    manifest = write_manifest(
        tmp_path / "tables",
        [
            make_row(f"films/{split}-{label}.png", split, label)
            for split in ("train", "test")
            for label in LABEL_IDS
        ],
    )
    places = Places(manifest, tmp_path)
    first = read_samples(manifest, root=tmp_path)[0]
    assert places.find(first) == (tmp_path.name, "films/train-normal.png")


# ---------------------------------------------------------------- what can't be read


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("status", "state", "lacks the column"),
        ("uncertain", "maybe", "unknown status 'maybe'"),
        ("covid19,person", "covid,person", "unknown label 'covid'"),
        (",validation,a,normal,person 0,0", ",validation,a,normal,person 0,x", "could not convert"),
    ],
)
def test_what_is_no_predictions_csv_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make_predictions())
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_predictions(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv can't be read"):
        read_predictions(tmp_path / "absent.csv")
