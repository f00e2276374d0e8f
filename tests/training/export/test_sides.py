"""A network of another side than the contract's: its graph takes 224 x 224 and resizes."""

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from app.image.resize import SIDE_PX
from app.model.session import Network
from tests.training.networks import (
    build_slim_resnet,
    draw_images,
    make_config,
    make_small_core,
    run_graph,
)
from training.data.images import shrink
from training.export.graph import Tail, answer, cut_tail
from training.export.input_rule import read_blocks, take_images
from training.export.onnx_export import export_fp32, normalise, quantise
from training.fit.network import GreyResNet

pytestmark = pytest.mark.xdist_group("exported graphs")

SIDE, CELLS = 160, 5
TAIL = Tail(
    np.array([0.1, 0, -0.2, 0.3], np.float32),
    2.0,
    np.eye(512, dtype=np.float32),
    np.zeros((4, 512), np.float32),
    np.zeros((512, 5), np.float32),
    np.zeros(5, np.float32),
)


@pytest.fixture(scope="module")
def slim() -> GreyResNet:
    torch.manual_seed(0)
    network = build_slim_resnet(make_config())
    with torch.no_grad():
        network.train()(torch.from_numpy(draw_images(8, seed=99)).float())
    return network.eval()


@pytest.fixture(scope="module")
def core(slim: GreyResNet) -> onnx.ModelProto:
    return export_fp32(slim, draw_images(3), SIDE)


@pytest.fixture(scope="module")
def int8_core(core: onnx.ModelProto) -> onnx.ModelProto:
    return quantise(core, draw_images(8, seed=1))


def resized_by(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what a graph makes of images before its network sees them."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    shape = ["N", 1, SIDE, SIDE]
    info = onnx.helper.make_tensor_value_info("image_resized", onnx.TensorProto.UINT8, shape)
    watched.graph.output.append(info)
    (resized,) = run_graph(watched, ["image_resized"], image=images)
    return resized.astype(np.uint8)


@pytest.mark.parametrize("side", [96, 160, 192])
def test_a_graph_takes_224_whatever_its_networks_side(side: int) -> None:
    model = take_images(make_small_core(side=side))
    (image,) = model.graph.input
    assert [dim.dim_value for dim in image.type.tensor_type.shape.dim[1:]] == [1, SIDE_PX, SIDE_PX]
    outputs = Network(answer(model, TAIL).SerializeToString()).run(draw_images(2))
    assert outputs.cam.shape == (2, 4, side // 32, side // 32)
    expected = outputs.cam.mean((2, 3)) + TAIL.bias
    np.testing.assert_allclose(outputs.logits, expected, rtol=1e-5, atol=1e-5)


def test_a_network_of_the_contracts_side_gets_no_resize() -> None:
    kinds = {node.op_type for node in take_images(make_small_core()).graph.node}
    assert "Resize" not in kinds


def test_the_graph_answers_as_its_core_does_for_what_it_resized(core: onnx.ModelProto) -> None:
    images = draw_images(3, seed=5)
    model = take_images(core)
    fed = run_graph(core, ["cam", "pooled"], normalised=normalise(resized_by(model, images)))
    taken = run_graph(model, ["cam", "pooled"], image=images)
    for ours, theirs in zip(taken, fed, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_graph_answers_as_pytorch_does_for_shrunk_images(
    core: onnx.ModelProto, slim: GreyResNet
) -> None:
    images = draw_images(3, seed=5)
    (cam,) = run_graph(take_images(core), ["cam"], image=images)
    with torch.inference_mode():
        expected = slim(torch.from_numpy(shrink(images, SIDE)).float()).numpy()
    logits = cam.mean((2, 3)) + slim.resnet.fc.bias.detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=0.02)


def test_the_int8_graph_is_near_the_float32_one(
    core: onnx.ModelProto, int8_core: onnx.ModelProto
) -> None:
    images = draw_images(4, seed=6)
    exact, rounded = (
        run_graph(take_images(each), ["cam"], image=images)[0].mean((2, 3))
        for each in (core, int8_core)
    )
    assert np.abs(rounded - exact).max() < 0.25 * np.ptp(exact)


def test_the_resized_image_is_read_in_blocks_once(int8_core: onnx.ModelProto) -> None:
    model = take_images(int8_core)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds[:4] == ["Cast", "Resize", "Round", "Cast"]
    (arrange,) = (node for node in model.graph.node if node.op_type == "SpaceToDepth")
    assert list(arrange.input) == ["image_resized"]
    assert kinds.index("SpaceToDepth") == 4
    assert read_blocks(model).graph == model.graph


def test_the_resize_stays_where_a_bundle_is_measured_anew(int8_core: onnx.ModelProto) -> None:
    model = take_images(int8_core)
    graph = answer(model, TAIL).SerializeToString()
    bare, bias, temperature = cut_tail(graph)
    assert (bias.tolist(), temperature) == (TAIL.bias.tolist(), TAIL.temperature)
    assert answer(bare, TAIL).SerializeToString() == graph
    (cam,) = (output for output in bare.graph.output if output.name == "cam")
    assert [dim.dim_value for dim in cam.type.tensor_type.shape.dim[1:]] == [4, CELLS, CELLS]
