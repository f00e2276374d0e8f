"""training.holdout.folds: what a fold is trained without, and asked about."""

from pathlib import Path

import pytest

from training.data.faults import DataError
from training.data.manifest import Sample
from training.data.splits import Division
from training.data.targets import read_targets
from training.holdout.folds import hold_sources, list_sources


def make_sample(path: str, label: str, source: str, patient: str | None = None) -> Sample:
    return Sample(Path(path), read_targets(label), patient or path, "train", source, "CC0")


FIT = [
    make_sample("1", "normal", "here"),
    make_sample("2", "covid19", "there", "shared"),
    make_sample("3", "viral_pneumonia", "here", "shared"),  # of a patient that is also there
    make_sample("4", "other", "here"),
    make_sample("5", "bacterial_pneumonia", "elsewhere"),
]
VALIDATION = [make_sample("6", "normal", "here"), make_sample("7", "covid19", "there")]
TEST = [make_sample("8", "normal", "there")]
DIVISION = Division(FIT, VALIDATION, TEST)


def names(samples: object) -> list[str]:
    return [str(sample.path) for sample in samples]  # type: ignore[attr-defined]


def test_a_source_and_its_patients_are_taken_out_of_all_that_is_learned_and_of_validation() -> None:
    fold = hold_sources(DIVISION, ["there"])
    assert names(fold.held) == ["2", "7"]
    assert names(fold.fit) == ["1", "4", "5"]
    assert names(fold.validation) == ["6"]
    assert fold.name == "there"


def test_other_findings_are_asked_about_where_they_are_not_learned() -> None:
    fold = hold_sources(DIVISION, ["there"], others=False)
    assert names(fold.fit) == ["1", "5"]


def test_several_sources_make_one_fold_in_one_order() -> None:
    fold = hold_sources(DIVISION, ["there", "elsewhere"])
    assert fold.sources == ("elsewhere", "there")
    assert fold.name == "elsewhere+there"
    assert names(fold.held) == ["2", "5", "7"]


def test_a_source_that_nothing_is_learned_from_can_be_asked_about() -> None:
    unlearned = [make_sample("9", "covid19", "apart"), make_sample("10", "covid19", "apart", "5")]
    division = Division(FIT, VALIDATION, TEST, unlearned)
    fold = hold_sources(division, ["apart"])
    assert names(fold.held) == ["9", "10"]
    assert names(fold.fit) == ["1", "2", "3", "4"]  # not 5: its patient is asked about
    assert names(hold_sources(division, ["there"]).fit) == ["1", "4", "5"]


def test_a_name_that_is_no_folders_is_mended() -> None:
    division = Division([*FIT, make_sample("9", "normal", "St. Mary's/2")], VALIDATION, TEST)
    assert hold_sources(division, ["St. Mary's/2"]).name == "St.-Mary-s-2"


def test_each_source_with_normal_or_covid19_is_a_fold_by_itself() -> None:
    assert list_sources([*FIT, *VALIDATION]) == [("here",), ("there",)]


def test_an_unknown_source_is_named_with_those_that_are_known() -> None:
    with pytest.raises(DataError, match="source nowhere; known: elsewhere, here, there"):
        hold_sources(DIVISION, ["here", "nowhere"])


def test_nothing_left_to_train_on_is_refused() -> None:
    with pytest.raises(DataError, match="nothing is left"):
        hold_sources(DIVISION, ["here", "there"])
