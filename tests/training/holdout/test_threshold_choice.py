"""training.holdout.threshold_choice: whose answers decide, and the figures by source."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from training.data.manifest import Sample
from training.data.targets import read_targets
from training.export.calibration import (
    fit_even_temperature,
    fit_operating_points,
    fit_temperature,
)
from training.export.evidence import Limits
from training.holdout.held_answers import HeldAnswers, find_learned, read_answers
from training.holdout.source_figures import measure_sources
from training.holdout.threshold_choice import (
    choose_thresholds,
    cool_by_validation,
    name_kind,
    pool_rows,
)

Row = tuple[str, str, str, bool]
"""Path, label, source, held."""


def make_answers(
    without: list[str], rows: list[Row], seed: int = 0, **changes: object
) -> HeldAnswers:
    generator = np.random.default_rng(seed)
    targets = np.array([np.isin(range(4), sorted(read_targets(label))) for _, label, _, _ in rows])
    logits = (generator.normal(size=(len(rows), 4)) + 4 * targets).astype(np.float32)
    made = HeldAnswers(
        without=np.array(without),
        paths=np.array([path for path, *_ in rows]),
        sources=np.array([source for _, _, source, _ in rows]),
        patients=np.array([f"patient {path}" for path, *_ in rows]),
        targets=targets,
        held=np.array([held for *_, held in rows]),
        learned=np.ones(len(rows), bool),
        logits=logits,
        distance=np.linspace(1, 100, len(rows)).astype(np.float32),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def paths(folds: list[HeldAnswers], rows: list[tuple[int, int]]) -> list[tuple[int, str]]:
    return [(fold, str(folds[fold].paths[row])) for fold, row in rows]


def test_held_out_images_decide_and_validation_speaks_for_kinds_that_none_of_them_shows() -> None:
    one = make_answers(
        ["a"],
        [
            ("a1", "normal", "a", True),
            ("a2", "covid19", "a", True),
            ("b1", "normal", "b", False),
            ("c1", "viral_pneumonia", "c", False),
            ("c2", "viral_pneumonia", "c", False),
        ],
    )
    two = make_answers(
        ["b"],
        [
            ("b1", "normal", "b", True),
            ("a1", "normal", "a", False),
            ("c1", "viral_pneumonia", "c", False),
            ("c2", "viral_pneumonia", "c", False),
        ],
    )
    rows, lacking = pool_rows([one, two])
    # c1 and c2 once each, by the networks in turn.
    assert paths([one, two], rows) == [(0, "a1"), (0, "a2"), (1, "b1"), (0, "c1"), (1, "c2")]
    assert lacking == ["viral_pneumonia"]


def test_what_two_folds_hold_out_is_the_firsts() -> None:
    row: Row = ("a1", "normal", "a", True)
    folds = [
        make_answers(["a"], [row]),
        make_answers(["a", "b"], [row, ("b1", "normal", "b", True)]),
    ]
    assert paths(folds, pool_rows(folds)[0]) == [(0, "a1"), (1, "b1")]


def test_patients_of_validation_speak_for_a_collection_and_no_network_without_it() -> None:
    rows: list[Row] = [("a1", "covid19", "a", True), ("b1", "covid19", "b", False)]
    folds = [
        make_answers(["a"], rows),
        make_answers(["b"], [("b1", "covid19", "b", True), ("b2", "covid19", "b", True)]),
    ]
    assert paths(folds, pool_rows(folds)[0]) == [(0, "a1"), (1, "b1"), (1, "b2")]
    chosen, lacking = pool_rows(folds, ["b"])
    assert paths(folds, chosen) == [(0, "a1"), (0, "b1")]
    assert lacking == []


def test_cooling_by_validation_divides_by_the_temperature_of_the_seen() -> None:
    rows: list[Row] = [(f"v{n}", KINDS[n % 4], "v", False) for n in range(40)]
    fold = make_answers(["a"], [*rows, ("a1", "normal", "a", True)])
    seen = ~fold.held
    temperature = fit_temperature(fold.logits[seen], fold.targets[seen].argmax(1))
    assert np.allclose(cool_by_validation(fold).logits * temperature, fold.logits, atol=1e-4)


def test_what_a_network_was_not_taught_decides_nothing() -> None:
    rows: list[Row] = [("a1", "viral_pneumonia", "a", True), ("a2", "normal", "a", True)]
    fold = make_answers(["a"], rows, learned=np.array([False, True]))
    assert paths([fold], pool_rows([fold])[0]) == [(0, "a2")]


def make_sample(label: str) -> Sample:
    return Sample(Path(), read_targets(label), "p", "train", "s", "CC0")


@pytest.mark.parametrize(
    ("label", "fitted", "learned"),
    [
        ("normal", ["normal"], True),
        ("viral_pneumonia", ["normal", "bacterial_pneumonia|viral_pneumonia"], False),
        ("bacterial_pneumonia|viral_pneumonia", ["bacterial_pneumonia"], False),
        ("bacterial_pneumonia|viral_pneumonia", ["bacterial_pneumonia", "viral_pneumonia"], True),
        ("bacterial_pneumonia|viral_pneumonia", ["bacterial_pneumonia|viral_pneumonia"], True),
        ("other", ["normal"], True),
    ],
)
def test_what_a_network_was_taught(label: str, fitted: list[str], learned: bool) -> None:
    samples = [make_sample(each) for each in fitted]
    assert find_learned([make_sample(label)], samples).tolist() == [learned]


KINDS = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]


@pytest.fixture
def folds() -> list[HeldAnswers]:
    """Three folds of a source each, 80 images a label and source, and sets and others in one."""
    every = [
        (f"{source}{kind}{n}", kind, source)
        for source in "abc"
        for kind in KINDS
        for n in range(80)
    ]
    every += [(f"c-set{n}", "bacterial_pneumonia|viral_pneumonia", "c") for n in range(60)]
    every += [(f"c-other{n}", "other", "c") for n in range(60)]
    return [
        make_answers([out], [(*row, row[2] == out) for row in every], seed=seed)
        for seed, out in enumerate("abc")
    ]


def stack(folds: list[HeldAnswers], name: str) -> NDArray[np.generic]:
    return np.concatenate([getattr(fold, name)[fold.held] for fold in folds])


def test_temperature_and_operating_points_are_those_of_the_held_out_answers(
    folds: list[HeldAnswers],
) -> None:
    choice = choose_thresholds(folds, Limits(), children=[])
    logits, targets = (
        stack(folds, "logits").astype(np.float32),
        stack(folds, "targets").astype(bool),
    )
    sources = [str(source) for source in stack(folds, "sources")]
    assert choice.temperature == pytest.approx(fit_even_temperature(logits, targets, sources))
    single = targets.sum(1) == 1
    probabilities = softmax(logits / choice.temperature, axis=1)[single].astype(np.float32)
    points = fit_operating_points(probabilities, targets[single].argmax(1))
    assert choice.operating_points == pytest.approx(points, abs=2e-6)
    assert choice.certainty.chosen_on == "held_out_sources"
    assert choice.from_validation == []
    assert 0 < choice.certainty.answered.value < 1


def test_children_are_no_healthy_adults(folds: list[HeldAnswers]) -> None:
    strict = Limits(healthy=1e-6)  # no adult proves that
    adults = choose_thresholds(folds, strict, children=[])
    children = choose_thresholds(folds, strict, children=["a", "b", "c"])
    assert adults.certainty.basis["covid19"] != "bound"
    assert children.certainty.basis["covid19"] == "bound"


def test_figures_by_source_are_of_its_own_networks_answers(folds: list[HeldAnswers]) -> None:
    choice = choose_thresholds(folds, Limits(), children=[])
    figures = measure_sources(folds, choice)
    assert list(figures) == ["a", "b", "c"]
    own = folds[2]
    rows = own.held & (own.targets == [False, False, True, True]).all(1)
    called = own.logits[rows].argmax(1)
    pneumonia = figures["c"].called_covid19["bacterial_pneumonia|viral_pneumonia"]
    assert pneumonia.value == pytest.approx((called == 1).mean())
    assert figures["c"].images == dict.fromkeys(KINDS, 80) | {
        "bacterial_pneumonia|viral_pneumonia": 60,
        "other": 60,
    }
    probabilities = softmax(own.logits / choice.temperature, axis=1)
    normals = own.held & (own.targets.argmax(1) == 0) & own.targets[:, 0]
    sure = figures["c"].sure_covid19["normal"]
    assert sure.value == pytest.approx((probabilities[normals, 1] > 0.9).mean())
    covid = own.held & own.targets[:, 1]
    others = ~own.held & own.targets[:, 0] & (own.sources == "a")
    pairs = probabilities[covid, 1][:, None] > probabilities[others, 1][None]
    assert figures["c"].auroc["normal of a (seen)"].value == pytest.approx(pairs.mean())
    single = own.held & (own.targets.sum(1) == 1)
    nll = -np.log(probabilities[single, own.targets[single].argmax(1)]).mean()
    assert figures["c"].nll == pytest.approx(nll, rel=1e-4)


def test_the_share_refused_is_at_the_folds_own_threshold(folds: list[HeldAnswers]) -> None:
    far = [replace(fold, distance=np.where(fold.held, 300, 1).astype(np.float32)) for fold in folds]
    choice = replace(choose_thresholds(folds, Limits(), children=[]), distance_factor=2.0)
    assert measure_sources(far, choice)["a"].refused.value == 1
    assert measure_sources(far, replace(choice, distance_factor=301.0))["a"].refused.value == 0


def test_answers_are_read_as_they_were_written(folds: list[HeldAnswers], tmp_path: Path) -> None:
    folds[0].write(tmp_path / "answers.npz")
    read = read_answers(tmp_path / "answers.npz")
    assert read is not None
    for name in ("paths", "targets", "logits", "distance", "held", "without"):
        np.testing.assert_array_equal(getattr(read, name), getattr(folds[0], name))
    content = (tmp_path / "answers.npz").read_bytes()
    (tmp_path / "answers.npz").write_bytes(content[: len(content) // 2])
    assert read_answers(tmp_path / "answers.npz") is None
    assert read_answers(tmp_path / "absent.npz") is None


def test_kinds_are_named_as_manifests_do() -> None:
    assert name_kind(np.array([False, False, True, True])) == "bacterial_pneumonia|viral_pneumonia"
    assert name_kind(np.zeros(4, bool)) == "other"
