"""training.measure.evaluation: a bundle measured on one split, as it is served."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings import Settings
from tests.training.drawings import write_data_set
from training.data.images import load_images
from training.data.manifest import DataError, read_samples
from training.measure.evaluation import evaluate_bundle
from training.metrics import metrics, reliability
from training.report.plots import PLOTS


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The shipped bundle; on drawings it is as good as any."""
    return read_bundle(find_bundle(Settings().model))


def test_a_bundle_is_measured_by_what_it_answers_in_service(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, train=1, test=4)
    samples = [sample for sample in read_samples(manifest) if sample.split == "test"]
    model = OnnxModel(bundle)
    rows = load_images(samples, "test")[:, np.newaxis]
    probabilities = np.concatenate([model.run(row).probabilities for row in rows])
    labels = np.array([sample.label for sample in samples])
    figures = evaluate_bundle(bundle, manifest, "test", tmp_path / "report")
    assert figures.accuracy.value == pytest.approx(metrics.accuracy(labels, probabilities))
    assert figures.macro_auroc.value == pytest.approx(metrics.macro_auroc(labels, probabilities))
    assert figures.brier == pytest.approx(reliability.brier(labels, probabilities), abs=1e-4)
    assert np.sum(figures.confusion) == figures.images == 16
    assert figures.patients == 4 * (4 - 1)  # of four images a label, two show one patient


def test_the_report_holds_the_figures_the_model_and_the_plots(
    bundle: Bundle, tmp_path: Path
) -> None:
    report = tmp_path / "a" / "report"
    figures = evaluate_bundle(bundle, write_data_set(tmp_path, 0, 2), "test", report)
    written = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    assert written == {
        "model": {"name": bundle.card.name, "sha256": bundle.card.sha256},
        "split": "test",
        "metrics": figures.model_dump(),
    }
    assert {path.name for path in report.iterdir()} == {"evaluation.json", *PLOTS}
    for name in PLOTS:
        with Image.open(report / name) as plot:
            assert min(plot.size) > 300


@pytest.mark.parametrize(("train", "test", "split"), [(0, 1, "test"), (1, 0, "train")])
def test_only_the_split_asked_for_is_needed(
    train: int, test: int, split: str, bundle: Bundle, tmp_path: Path
) -> None:
    manifest = write_data_set(tmp_path, train, test)
    assert evaluate_bundle(bundle, manifest, split, tmp_path / "report").images == 4


def test_images_of_another_split_need_not_be_there(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, train=2, test=1)
    for image in tmp_path.glob("train-*.jpg"):
        image.unlink()
    assert evaluate_bundle(bundle, manifest, "test", tmp_path / "report").images == 4


def test_a_split_without_images_is_refused_and_nothing_written(
    bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the train split has no image labelled normal, covid19"):
        evaluate_bundle(bundle, write_data_set(tmp_path, 0, 1), "train", tmp_path / "report")
    assert not (tmp_path / "report").exists()
