"""training.release.release: which images each part of a bundle is fitted to, and chosen by."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from app.model.bundle import FP32_FILE, find_bundle, read_bundle
from app.model.card import Card
from app.model.session import Network
from app.settings.settings import Settings
from tests.training.networks import (
    build_small_model,
    make_config,
    make_image_set,
    make_small_core,
    read_constants,
)
from training.data.splits import Splits
from training.export.calibration import (
    fit_distance_threshold,
    fit_operating_points,
    fit_temperature,
    label_priors,
)
from training.export.graph import cut_tail
from training.metrics import reliability
from training.release import bundle_writer, measurement, quantisation
from training.release import release as releasing
from training.release import tail as tails
from training.release.known_answers import ask_known
from training.report.limitations import BY_FILE, NO_OPERATING_POINTS, NOT_CALIBRATED
from training.run.checkpoint import RunFolder
from training.run.environment import describe_environment
from training.run.history import Epoch

SPLITS = Splits(*(make_image_set(count, seed, 224) for seed, count in enumerate((20, 12, 8))))
GRAPHS = ["model.onnx", FP32_FILE]


class Released(NamedTuple):
    folder: Path
    card: Card
    calibration: NDArray[np.uint8]
    """What the ranges of int8 were set by."""

    def answer(self, graph: str, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        outputs = Network((self.folder / graph).read_bytes()).run(images)
        return {name: getattr(outputs, name) for name in ("logits", "probabilities", "distance")}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Leave out the audit and the plots: tests of their own are about them."""
    audit = read_bundle(find_bundle(Settings().model)).card.audit["test"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "audit_graph", lambda *_: audit)
        patch.setattr(tails, "_MOST_TURNED", 8)
        patch.setattr(reliability, "LEAST_IMAGES", 12)
        patch.setattr(reliability, "LEAST_PATIENTS", 3)
        patch.setattr(bundle_writer, "plot_all", lambda *_: None)
        patch.setattr(bundle_writer, "draw_surroundings", lambda _: {})
        yield


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    return release_to(tmp_path_factory.mktemp("released"))


def release_to(folder: Path, **changes: object) -> Released:
    """Release a run of one epoch, whose network and int8 network are one small core."""
    settings = {"out": folder, "runs": folder / "runs", "calibration_images": 8}
    config = make_config(**settings | changes)
    run = RunFolder(config)
    run.start(describe_environment(config))
    run.write_history([Epoch(1, 224, 1e-3, 1.4, 1.5, 0.25, 0.6, 2.5)])
    core, seen = make_small_core(), []

    def quantise(_: object, calibration: NDArray[np.uint8], __: object) -> onnx.ModelProto:
        seen.append(calibration)
        return core

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(releasing, "load_best", build_small_model)
        patch.setattr(releasing, "export_fp32", lambda *_: core)
        patch.setattr(quantisation, "quantise", quantise)
        card = releasing.release(config, SPLITS, "neumo-train run")
    assert len(seen) == 3  # methods
    return Released(config.bundle_folder, card, seen[0])


def test_the_card_is_the_one_serving_reads(released: Released) -> None:
    assert read_bundle(released.folder).card == released.card


def test_ranges_are_set_by_as_many_fit_images_of_each_label(released: Released) -> None:
    rows = [
        next(row for row, image in enumerate(SPLITS.fit.images) if (image == calibrating).all())
        for calibrating in released.calibration
    ]
    assert sorted(SPLITS.fit.labels[rows].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(set(rows)) == 8


@pytest.mark.parametrize("name", GRAPHS)
def test_distance_and_orientation_are_fitted_to_the_fit_images(
    name: str, released: Released
) -> None:
    graph = (released.folder / name).read_bytes()
    bare, _, _ = cut_tail(graph)
    constants = read_constants(onnx.load_from_string(graph))
    whitening, centres, turns, _ = tails.fit_features(bare, SPLITS.fit)
    np.testing.assert_array_equal(constants["whitening"], whitening)
    np.testing.assert_array_equal(constants["centres"][0], centres)
    np.testing.assert_array_equal(constants["turns"], turns)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_temperature_is_fitted_to_the_graphs_own_validation_logits(
    name: str, released: Released
) -> None:
    logits = released.answer(name, SPLITS.validation.images)["logits"]
    expected = fit_temperature(logits, SPLITS.validation.labels)
    assert expected != pytest.approx(1, rel=0.05)
    _, _, temperature = cut_tail((released.folder / name).read_bytes())
    assert temperature == pytest.approx(expected, rel=1e-4)
    if name == "model.onnx":
        assert released.card.temperature == pytest.approx(expected, rel=1e-4)


def test_thresholds_are_chosen_on_validation_by_the_graph_that_is_served(
    released: Released,
) -> None:
    answers = released.answer("model.onnx", SPLITS.validation.images)
    points = fit_operating_points(answers["probabilities"], SPLITS.validation.labels)
    assert released.card.operating_points == pytest.approx(points, abs=2e-6)
    threshold = fit_distance_threshold(answers["distance"])
    assert released.card.distance_threshold == pytest.approx(threshold, rel=1e-5)
    assert released.card.priors == label_priors(SPLITS.validation.labels)


def test_known_answers_are_about_means_of_the_fit_images(released: Released) -> None:
    graph = (released.folder / "model.onnx").read_bytes()
    assert released.card.known_answers == ask_known(graph, SPLITS.fit)
    others = ask_known(graph, SPLITS.validation)
    assert released.card.known_answers[0].pixels != others[0].pixels


def test_each_row_of_figures_is_of_its_split(released: Released) -> None:
    images = {name: figures.images for name, figures in released.card.metrics.items()}
    assert images == {"validation": 12, "validation_fp32": 12, "test": 8, "test_fp32": 8}
    called = released.answer("model.onnx", SPLITS.test.images)["probabilities"].argmax(1)
    accuracy = released.card.metrics["test"].accuracy.value
    assert accuracy == pytest.approx(np.mean(called == SPLITS.test.labels))


@pytest.mark.parametrize(
    ("images", "patients"), [(13, 3), (12, 4)], ids=["too few images", "too few patients"]
)
def test_of_few_validation_images_nothing_is_claimed(
    images: int, patients: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reliability, "LEAST_IMAGES", images)
    monkeypatch.setattr(reliability, "LEAST_PATIENTS", patients)
    card = release_to(tmp_path, limitations=["one hospital"]).card
    assert card.temperature == 1
    assert (card.operating_points, card.priors) == (None, None)
    assert card.limitations == ["one hospital", NOT_CALIBRATED, NO_OPERATING_POINTS]
    assert card.metrics["test"].answered is None
    for name in GRAPHS:
        _, _, temperature = cut_tail((tmp_path / card.name / name).read_bytes())
        assert temperature == 1
    readme = (tmp_path / card.name / "README.md").read_text(encoding="utf-8")
    assert f"- {NO_OPERATING_POINTS}" in readme
    assert "Probabilities are not calibrated" in readme
    assert "fitted on the validation split" not in readme
    assert "refused as no frontal chest X-ray" in readme  # which stays


def test_of_enough_no_limitation_is_added(released: Released) -> None:
    assert released.card.limitations == []


def test_of_folders_without_patients_the_card_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert release_to(tmp_path, data=tmp_path / "data").card.limitations == [BY_FILE]
