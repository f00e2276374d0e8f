"""The shipped graph keeps the promises of the contract, on real X-rays where there are some."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.measured.reference import stability_index
from app.model.session import OnnxModel
from app.settings.settings import Settings
from tests.conftest import ROOT
from training.data.images import load_images
from training.data.manifest import read_samples
from training.measure.evaluation import Refusal
from training.metrics.metrics import accuracy, macro_auroc

DATA = ROOT.parent / "shared" / "data" / "cxr4" / "manifest.csv"


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel(read_bundle(find_bundle(Settings().model)), threads=2)


def test_the_graph_names_no_folder_of_whoever_trained_it() -> None:
    graph = read_bundle(find_bundle(Settings().model)).graph
    for note in (b"site-packages", b"stack_trace", b"export.py", b"resnet.py"):
        assert note not in graph


def test_probabilities_are_the_softmax_of_the_cooled_logits(model: OnnxModel) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 224, 224), np.uint8)
    outputs = model.run(images)
    expected = softmax(outputs.logits / model.card.temperature, axis=1)
    np.testing.assert_allclose(outputs.probabilities, expected, atol=1e-6)


def test_the_mean_of_the_maps_and_a_constant_bias_are_the_logits(model: OnnxModel) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 224, 224), np.uint8)
    outputs = model.run(images)
    bias = outputs.logits - outputs.cam.mean((2, 3))
    np.testing.assert_allclose(bias, bias[:1].repeat(4, 0), atol=1e-4)


@pytest.mark.skipif(not DATA.exists(), reason="the development X-rays (../shared/data) are absent")
def test_the_card_says_what_the_graph_does_on_the_test_split(model: OnnxModel) -> None:
    test = [sample for sample in read_samples(DATA) if sample.split == "test"]
    images = load_images(test, "test")
    outputs = [model.run(images[row : row + 1]) for row in range(len(images))]
    probabilities = np.concatenate([each.probabilities for each in outputs])
    labels = np.array([sample.label for sample in test])
    figures = model.card.metrics["test"]
    assert accuracy(labels, probabilities) == pytest.approx(figures.accuracy.value, abs=0.004)
    assert macro_auroc(labels, probabilities) == pytest.approx(figures.macro_auroc.value, abs=0.001)
    refusal = Refusal(model.card.distance_threshold, model.card.upright_threshold)
    refused = np.concatenate([refusal.holds(each) for each in outputs])
    assert figures.refused is not None
    assert refused.mean() == pytest.approx(figures.refused.value, abs=0.004)
    assert refused.mean() <= 0.02
    reference = model.card.reference
    assert reference is not None
    distances = [float(each.distance[0]) for each in outputs]
    found = np.bincount([reference.distance.bin_of(each) for each in distances], minlength=10)
    assert (
        stability_index(reference.distance.counts, found.tolist()) < 0.1
    )  # same sources: no shift


def test_the_distance_of_noise_is_further_than_that_of_a_radiograph(
    model: OnnxModel, examples: dict[str, Path]
) -> None:
    near = [
        model.run(resize(decode(path.read_bytes()))[None]).distance[0] for path in examples.values()
    ]
    noise = np.random.default_rng(0).integers(0, 256, (1, 1, 224, 224), np.uint8)
    assert model.run(noise).distance[0] > 2 * max(near)
