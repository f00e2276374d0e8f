"""training.compare: two files of predictions, and what can't be compared."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.model.labels import LABEL_IDS
from training.compare.comparison import Compared, ComparisonImpossible, compare
from training.compare.comparison_page import render_page, render_terminal, to_json
from training.measure.predictions import Predictions, write_predictions

COUNT = 80


def predict(seed: int, lean: float = 1.5) -> Predictions:
    """Return answers for 80 images of 40 patients and two sources, half of them validation's."""
    truths = np.arange(COUNT) // 2 % 4
    logits = np.random.default_rng(seed).normal(0, 1, (COUNT, 4)) + lean * np.eye(4)[truths]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(
        data_sets=np.full(COUNT, "cxr"),
        paths=np.array([f"{row}.png" for row in range(COUNT)]),
        splits=np.where(np.arange(COUNT) < COUNT - 16, "validation", "test"),
        sources=np.where(np.arange(COUNT) // 8 % 2, "east", "west"),
        labels=np.array([LABEL_IDS[truth] for truth in truths]),
        patients=np.array([str(row // 2) for row in range(COUNT)]),
        probabilities=shares.astype(np.float32),
        logits=logits.astype(np.float32),
        distance=np.ones(COUNT, np.float32),
        statuses=np.where(shares.max(1) > 0.7, "ok", "uncertain"),
    )


FIRST, SECOND = predict(1), predict(2, lean=3)


def run(
    folder: Path, first: Predictions, second: Predictions, split: str = "validation"
) -> Compared:
    for name, told in (("first", first), ("second", second)):
        write_predictions(folder / name / "predictions.csv", told)
    paths = [str(folder / name / "predictions.csv") for name in ("first", "second")]
    return compare(paths[0], paths[1], split)


def test_the_figures_are_of_the_split_asked_for(tmp_path: Path) -> None:
    for split, images in (("validation", COUNT - 16), ("test", 16)):
        told = run(tmp_path, FIRST, SECOND, split)
        rows = FIRST.splits == split
        right = [np.array(each.called) == each.labels for each in (FIRST, SECOND)]
        assert (told.images, told.patients, told.left_out) == (images, images // 2, 0)
        accuracy = told.figures["accuracy"]
        assert accuracy.first == pytest.approx(right[0][rows].mean())
        assert accuracy.second == pytest.approx(right[1][rows].mean())
        assert accuracy.difference.value == pytest.approx(accuracy.second - accuracy.first)
        gained, lost = (right[1] & ~right[0])[rows].sum(), (right[0] & ~right[1])[rows].sum()
        assert (told.changes.gained, told.changes.lost) == (gained, lost)
        ok = told.figures["answered ok"]
        assert ok.first == pytest.approx((FIRST.statuses[rows] == "ok").mean())
    assert set(told.figures) == {
        *("accuracy", "macro-AUROC", "ECE", "answered ok", "ok and wrong"),
        *(f"sensitivity, {label}" for label in LABEL_IDS),
    }


def test_images_are_paired_by_name_whatever_their_order(tmp_path: Path) -> None:
    shuffled = SECOND.take(np.random.default_rng(0).permutation(COUNT))
    assert run(tmp_path, FIRST, SECOND).figures == run(tmp_path, FIRST, shuffled).figures


def test_images_of_one_alone_are_left_out_and_counted(tmp_path: Path) -> None:
    told = run(tmp_path, FIRST.take(np.arange(COUNT) != 0), SECOND.take(np.arange(COUNT) > 2))
    assert (told.images, told.left_out) == (COUNT - 16 - 3, 2)
    assert "; 2 that only one has answers for are left out" in render_terminal(told)


def test_sets_and_other_findings_are_in_no_figure(tmp_path: Path) -> None:
    labels = FIRST.labels.astype("U40")
    labels[:3] = ["other", "bacterial_pneumonia|viral_pneumonia", "other"]
    told = run(tmp_path, replace(FIRST, labels=labels), replace(SECOND, labels=labels))
    assert told.images == COUNT - 16 - 3


def test_each_source_has_its_rows(tmp_path: Path) -> None:
    told = run(tmp_path, FIRST, SECOND)
    rows = (FIRST.sources == "east") & (FIRST.labels == "covid19") & (FIRST.splits == "validation")
    images, difference, changes = told.sources["east"]["covid19"]
    assert images == rows.sum()
    right = np.array(SECOND.called) == SECOND.labels
    assert difference.second == pytest.approx(right[rows].mean())
    assert changes.gained - changes.lost == round(difference.difference.value * images)


def test_where_one_has_no_rule_for_ok_nothing_is_said_of_it(tmp_path: Path) -> None:
    told = run(tmp_path, replace(FIRST, statuses=np.full(COUNT, "")), SECOND)
    assert not {"answered ok", "ok and wrong"} & set(told.figures)


# ---------------------------------------------------------------- what can't be compared


def test_other_labels_for_the_same_image_are_refused(tmp_path: Path) -> None:
    labels = SECOND.labels.astype("U40")
    labels[5] = "normal"
    with pytest.raises(ComparisonImpossible, match=r"1 image\(s\) have another label.*'5.png'"):
        run(tmp_path, FIRST, replace(SECOND, labels=labels))


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    moved = replace(SECOND, data_sets=np.full(COUNT, "elsewhere"))
    with pytest.raises(ComparisonImpossible, match="no image that both"):
        run(tmp_path, FIRST, moved)


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    trained = replace(FIRST, splits=np.full(COUNT, "train"))
    with pytest.raises(ComparisonImpossible, match=r"no validation in one .* only train"):
        run(tmp_path, trained, SECOND)


# ---------------------------------------------------------------- written out


def test_the_terminal_has_a_row_a_figure_aligned(tmp_path: Path) -> None:
    told = run(tmp_path, FIRST, SECOND)
    lines = render_terminal(told).splitlines()
    (row,) = [line for line in lines if line.startswith("macro-AUROC")]
    area = told.figures["macro-AUROC"]
    assert row.split()[1:4] == [
        f"{area.first:.3f}",
        f"{area.second:.3f}",
        f"{area.difference.value:+.3f}",
    ]
    head = next(line for line in lines if line.startswith("figure"))
    assert head.index("difference") == row.index(f"{area.difference.value:+.3f}")
    assert any(line.startswith("west    viral_pneumonia") for line in lines)


def test_the_test_split_is_said_to_have_been_read(tmp_path: Path) -> None:
    assert "The test split was read" in render_terminal(run(tmp_path, FIRST, SECOND, "test"))
    assert "The test split" not in render_terminal(run(tmp_path, FIRST, SECOND))


def test_json_and_the_page_hold_what_the_terminal_does(tmp_path: Path) -> None:
    told = run(tmp_path, FIRST, SECOND)
    written = json.loads(to_json(told))
    area = told.figures["macro-AUROC"]
    assert written["figures"]["macro-AUROC"]["difference"]["value"] == area.difference.value
    assert written["sources"]["east"]["covid19"]["images"] == told.sources["east"]["covid19"][0]
    page = render_page(told)
    assert f"<td>{area.first:.3f}</td>" in page
    assert "Differences: validation, n = 64" in page
    assert "<script" not in page
