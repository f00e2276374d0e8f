"""What training shrinks to a network's side is what the graph resizes to it."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.training.networks import draw_images, make_small_core
from training.data.images import load_images, shrink
from training.data.manifest import read_samples
from training.export.input_rule import take_images

DATA = ROOT.parent / "shared" / "data" / "cxr4" / "manifest.csv"

sides = pytest.mark.parametrize("side", [64, 96, 128, 160, 192])


def resize_by_graph(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the pixels that a graph of this side hands to its network."""
    model = take_images(make_small_core(side=side))
    del model.graph.output[:]
    shape = ["N", 1, side, side]
    info = onnx.helper.make_tensor_value_info("image_resized", onnx.TensorProto.UINT8, shape)
    model.graph.output.append(info)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    resized: NDArray[np.uint8] = session.run(None, {"image": images})[0]
    return resized


def assert_alike(images: NDArray[np.uint8], side: int) -> None:
    resized, shrunk = resize_by_graph(images, side), shrink(images, side)
    assert resized.shape == shrunk.shape == (len(images), 1, side, side)
    difference = np.abs(resized.astype(int) - shrunk)
    assert difference.max() <= 1
    assert difference.mean() < 0.05  # halves, rounded either way


@sides
def test_edges_up_to_the_border_are_resized_alike(side: int) -> None:
    assert_alike(draw_images(8, seed=3), side)


@sides
def test_noise_is_resized_alike(side: int) -> None:
    assert_alike(np.random.default_rng(0).integers(0, 256, (4, 1, 224, 224), np.uint8), side)


@pytest.mark.skipif(not DATA.exists(), reason="the development X-rays (../shared/data) are absent")
def test_x_rays_are_resized_alike() -> None:
    samples = read_samples(DATA)[::200]
    assert_alike(load_images(samples, "some"), 160)
