"""training.data.targets: one label, one of several, or another finding."""

import numpy as np
import pytest

from app.model.labels import LABEL_IDS
from training.data.targets import (
    TargetsUnknown,
    mask_targets,
    name_targets,
    order_of,
    read_targets,
)

SET = "bacterial_pneumonia|viral_pneumonia"


@pytest.mark.parametrize(
    ("label", "targets"),
    [("normal", {0}), ("viral_pneumonia", {3}), (SET, {2, 3}), ("normal|covid19", {0, 1})],
)
def test_a_label_or_a_set_is_read_and_written_alike(label: str, targets: set[int]) -> None:
    assert read_targets(label) == targets
    assert name_targets(frozenset(targets)) == label


def test_another_finding_has_no_target() -> None:
    assert read_targets("other") == frozenset()
    assert name_targets(frozenset()) == "other"


def test_a_set_is_written_in_the_order_of_the_labels_however_it_was_given() -> None:
    assert name_targets(read_targets("viral_pneumonia|normal")) == "normal|viral_pneumonia"


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("tuberculosis", "unknown label 'tuberculosis'; known: normal, .*, other$"),
        ("normal|tb", "unknown label 'tb'; known: .*, other, or several joined by '|'"),
        ("normal|other", "unknown label 'other'"),
        ("normal|", "unknown label ''"),
        ("normal|normal", "the set 'normal|normal' names a label twice"),
        ("|".join(LABEL_IDS), "names every label: it tells nothing"),
    ],
)
def test_what_stands_for_nothing_is_refused(label: str, told: str) -> None:
    with pytest.raises(TargetsUnknown) as caught:
        read_targets(label)
    start, *rest = told.split(".*")
    assert start in str(caught.value)
    assert all(part.rstrip("$") in str(caught.value) for part in rest)


def test_labels_are_sorted_single_ones_first_then_sets_then_other() -> None:
    written = ["other", SET, "viral_pneumonia", "normal|covid19", "normal"]
    order = ["normal", "viral_pneumonia", "normal|covid19", SET, "other"]
    assert sorted(written, key=order_of) == order


def test_a_mask_has_a_one_for_each_label_that_an_image_may_have() -> None:
    mask = mask_targets([frozenset({1}), frozenset({2, 3}), frozenset()])
    assert mask.dtype == np.float32
    assert mask.tolist() == [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
