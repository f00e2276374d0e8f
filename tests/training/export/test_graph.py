"""training.export.graph: the contract's outputs, against NumPy."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from app.image.resize import SIDE_PX
from app.model.session import Network, Outputs
from tests.training.networks import draw_images, read_constants, run_graph
from training.export.graph import Tail, answer, cut_tail
from training.export.input_rule import read_blocks, take_images
from training.export.onnx_export import normalise

pytestmark = pytest.mark.xdist_group("exported graphs")

Floats = NDArray[np.float32]
WIDTH = 512
TEMPERATURE = 1.7
CORES = ["core", "int8_core"]


@pytest.fixture(params=CORES)
def kind(request: pytest.FixtureRequest) -> onnx.ModelProto:
    """Each core in turn: float32, int8."""
    model: onnx.ModelProto = request.getfixturevalue(request.param)
    return model


@pytest.fixture(scope="module")
def covariance() -> Floats:
    """A covariance of 512 features, deviations from 0.5 to 2 along turned axes."""
    generator = np.random.default_rng(3)
    axes, _ = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))
    return ((axes * generator.uniform(0.25, 4, WIDTH)) @ axes.T).astype(np.float32)


@pytest.fixture(scope="module")
def means() -> Floats:
    return np.random.default_rng(4).uniform(0, 2, (4, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def tail(covariance: Floats, means: Floats) -> Tail:
    # Any whitening will do whose product with its transpose is the inverse covariance.
    whitening = np.linalg.cholesky(np.linalg.inv(covariance.astype(np.float64)))
    bias = np.array([0.3, -0.2, 0.1, 0], np.float32)
    return Tail(
        bias,
        TEMPERATURE,
        whitening.astype(np.float32),
        (means @ whitening).astype(np.float32),
        np.random.default_rng(5).normal(0, 0.1, (WIDTH, 5)).astype(np.float32),
        np.array([0.5, -0.5, 0.2, 0, 0.1], np.float32),
    )


@pytest.fixture
def pooled(kind: onnx.ModelProto, images: NDArray[np.uint8]) -> Floats:
    return run_graph(take_images(kind), ["pooled"], image=images)[0]


@pytest.fixture
def outputs(kind: onnx.ModelProto, tail: Tail, images: NDArray[np.uint8]) -> Outputs:
    """Answers through serving's own runner."""
    return Network(answer(take_images(kind), tail).SerializeToString()).run(images)


def test_logits_are_the_mean_of_the_cam_plus_the_bias(outputs: Outputs, tail: Tail) -> None:
    expected = outputs.cam.mean((2, 3)) + tail.bias
    np.testing.assert_allclose(outputs.logits, expected, rtol=1e-5, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature(
    outputs: Outputs,
) -> None:
    powers = np.exp(outputs.logits / TEMPERATURE)
    expected = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(outputs.probabilities, expected, rtol=1e-4, atol=1e-7)


def test_distance_is_the_squared_mahalanobis_distance_to_the_nearest_mean(
    outputs: Outputs, pooled: Floats, covariance: Floats, means: Floats
) -> None:
    offsets = pooled[:, np.newaxis].astype(np.float64) - means
    solved = np.linalg.solve(covariance.astype(np.float64), offsets.reshape(-1, WIDTH).T).T
    distances = (offsets * solved.reshape(offsets.shape)).sum(2)
    assert np.ptp(distances, axis=1).min() > 0.01 * distances.min()  # the nearest stands out
    np.testing.assert_allclose(outputs.distance, distances.min(1), rtol=1e-3)


def test_orientation_is_the_softmax_of_a_linear_rule_on_whitened_features(
    outputs: Outputs, pooled: Floats, tail: Tail
) -> None:
    expected = softmax(pooled @ tail.whitening @ tail.orientation + tail.orientation_bias, axis=1)
    assert outputs.orientation is not None
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(outputs.orientation, expected, atol=1e-3)


def test_every_output_has_a_row_an_image(outputs: Outputs) -> None:
    assert outputs.probabilities.shape == outputs.logits.shape == (3, 4)
    assert (outputs.cam.shape, outputs.distance.shape) == ((3, 4, 7, 7), (3,))


def test_an_image_answers_alone_as_in_a_batch(
    outputs: Outputs, kind: onnx.ModelProto, tail: Tail, images: NDArray[np.uint8]
) -> None:
    alone = Network(answer(take_images(kind), tail).SerializeToString()).run(images[1:2])
    np.testing.assert_allclose(alone.logits[0], outputs.logits[1], rtol=1e-4, atol=1e-4)


def test_the_graph_takes_bytes_and_gives_the_contracts_outputs_and_no_more(
    kind: onnx.ModelProto, tail: Tail
) -> None:
    graph = answer(take_images(kind), tail).graph
    (image,) = graph.input
    dimensions = image.type.tensor_type.shape.dim
    assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert [d.dim_value for d in dimensions[1:]] == [1, SIDE_PX, SIDE_PX]
    assert dimensions[0].dim_param  # any number of images
    assert [o.name for o in graph.output] == [
        "probabilities",
        "logits",
        "cam",
        "distance",
        "orientation",
    ]


def test_taking_images_equals_normalising_them_first(kind: onnx.ModelProto) -> None:
    images = draw_images(2, seed=8)
    taken = run_graph(take_images(kind), ["cam", "pooled"], image=images)
    fed = run_graph(kind, ["cam", "pooled"], normalised=normalise(images))
    for ours, theirs in zip(taken, fed, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_graph_given_is_left_as_it_was(kind: onnx.ModelProto, tail: Tail) -> None:
    before = kind.SerializeToString(deterministic=True)
    taking = take_images(kind)
    middle = taking.SerializeToString(deterministic=True)
    answer(taking, tail)
    assert kind.SerializeToString(deterministic=True) == before
    assert taking.SerializeToString(deterministic=True) == middle


def test_the_constants_of_a_quantiser_that_is_gone_are_gone(int8_core: onnx.ModelProto) -> None:
    model = take_images(int8_core)
    used = {name for node in model.graph.node for name in node.input}
    assert read_constants(model).keys() <= used


# ---------------------------------------------------------------- the first convolution, in blocks


def strip_blocks(model: onnx.ModelProto, core: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `read_blocks` by hand: the image dequantised as it is, the core's own convolution."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    graph = plain.graph
    (arrange,) = (node for node in graph.node if node.op_type == "SpaceToDepth")
    (dequantise,) = (node for node in graph.node if arrange.output[0] in node.input)
    dequantise.input[0] = "image"
    graph.node.remove(arrange)
    conv = next(node for node in graph.node if node.op_type == "Conv")
    conv.CopyFrom(next(node for node in core.graph.node if node.name == conv.name))
    before = {each.name: each for each in core.graph.initializer}
    for each in graph.initializer:
        if each.name in before:
            each.CopyFrom(before[each.name])
    return plain


def test_reading_blocks_changes_no_bit_of_an_answer(int8_core: onnx.ModelProto) -> None:
    arranged = take_images(int8_core)
    plain = strip_blocks(arranged, int8_core)
    assert "SpaceToDepth" not in {node.op_type for node in plain.graph.node}
    images = np.random.default_rng(5).integers(0, 256, (3, 1, SIDE_PX, SIDE_PX), np.uint8)
    for ours, theirs in zip(
        run_graph(arranged, ["cam", "pooled"], image=images),
        run_graph(plain, ["cam", "pooled"], image=images),
        strict=True,
    ):
        assert np.array_equal(ours, theirs)
    assert read_blocks(plain).graph.node[0].op_type == "SpaceToDepth"


def test_blocks_are_read_once_and_by_int8_only(
    int8_core: onnx.ModelProto, core: onnx.ModelProto
) -> None:
    arranged = take_images(int8_core)
    assert read_blocks(arranged).graph == arranged.graph
    exact = take_images(core)
    assert read_blocks(exact).graph == exact.graph


def test_the_first_convolution_reads_four_channels(int8_core: onnx.ModelProto) -> None:
    """Four bytes at a time, where the exporter's reads one: about a tenth of a run's time."""
    shapes = {value.shape for value in read_constants(take_images(int8_core)).values()}
    assert (64, 4, 4, 4) in shapes
    assert (64, 1, 7, 7) not in shapes


def test_cutting_the_tail_gives_back_what_it_was_put_behind(
    kind: onnx.ModelProto, tail: Tail, images: NDArray[np.uint8]
) -> None:
    bare = take_images(kind)
    graph = answer(bare, tail)
    cut, bias, temperature = cut_tail(graph.SerializeToString())
    np.testing.assert_array_equal(bias, tail.bias)
    assert temperature == pytest.approx(TEMPERATURE)
    assert [each.name for each in cut.graph.output] == ["cam", "pooled"]
    for before, after in zip(
        run_graph(bare, ["cam", "pooled"], image=images),
        run_graph(cut, ["cam", "pooled"], image=images),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)
    again = answer(cut, tail)
    assert {node.output[0] for node in again.graph.node} == {
        node.output[0] for node in graph.graph.node
    }
    assert len(again.graph.initializer) == len(graph.graph.initializer)
