"""training.export.onnx_export: the exported graphs give the trained network's answers."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.training.networks import draw_images, make_network, read_constants, run_graph
from training.config import CalibrationName
from training.export import onnx_export as export
from training.export.input_rule import take_images
from training.export.onnx_export import ExportError, export_fp32, fold_grey, normalise, quantise
from training.fit.network import INPUT_SCALE, INPUT_ZERO, GreyResNet

pytestmark = pytest.mark.xdist_group("exported graphs")

Images = NDArray[np.uint8]
METHODS = get_args(CalibrationName)


@pytest.fixture(scope="module")
def narrow_core(core: onnx.ModelProto) -> onnx.ModelProto:
    """The core quantised on images without a black or a white pixel."""
    return quantise(core, (draw_images(8, seed=1) // 2 + 61).astype(np.uint8))


@pytest.fixture(scope="module")
def small_core() -> onnx.ModelProto:
    """A core of a few weights with the operators of the real one, which quantises in no time."""
    draw = np.random.default_rng(0).normal
    weights = {"stem": (8, 1, 16, 16), "branch": (8, 8, 3, 3), "head": (4, 8, 1, 1)}
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("Conv", ["normalised", "stem"], ["a"], "a", strides=[16, 16]),
                onnx.helper.make_node("Relu", ["a"], ["b"], "b"),
                onnx.helper.make_node(
                    "MaxPool", ["b"], ["c"], "c", kernel_shape=[2, 2], strides=[2, 2]
                ),
                onnx.helper.make_node("Conv", ["c", "branch"], ["d"], "d", pads=[1, 1, 1, 1]),
                onnx.helper.make_node("Add", ["c", "d"], ["e"], "e"),
                onnx.helper.make_node("Relu", ["e"], ["f"], "f"),
                onnx.helper.make_node("Conv", ["f", "branch"], ["g"], "g", pads=[1, 1, 1, 1]),
                onnx.helper.make_node("Add", ["f", "g"], ["h"], "h"),
                onnx.helper.make_node("Relu", ["h"], ["i"], "i"),
                onnx.helper.make_node("Conv", ["i", "head"], ["cam"], "cam"),
                onnx.helper.make_node(
                    "ReduceMean", ["i", "axes"], ["pooled"], "pooled", keepdims=0
                ),
            ],
            "small",
            [_floats("normalised", 1, 224, 224)],
            [_floats("cam", 4, 7, 7), _floats("pooled", 8)],
            [
                onnx.numpy_helper.from_array(np.array([2, 3]), "axes"),
                *(
                    onnx.numpy_helper.from_array(draw(0, 0.1, shape).astype(np.float32), name)
                    for name, shape in weights.items()
                ),
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=10,
    )


def _floats(name: str, *shape: int) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])


def activation_ranges(model: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Return what the lowest and the highest byte of each quantised activation stand for."""
    constants = read_constants(model)
    ranges = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (constants[name].astype(float).item() for name in node.input[1:])
            ranges[node.input[0]] = (-zero * scale, (255 - zero) * scale)
    return ranges


def pytorch_logits(network: GreyResNet, images: Images) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(torch.from_numpy(images).float()).numpy()
    return logits


def logits_of(model: onnx.ModelProto, network: GreyResNet, images: Images) -> NDArray[np.float32]:
    """Return a core's class activation maps, averaged, plus the head's bias."""
    (cam,) = run_graph(take_images(model), ["cam"], image=images)
    bias: NDArray[np.float32] = network.resnet.fc.bias.detach().numpy()
    return cam.mean((2, 3)) + bias


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def back_to_relu(model: onnx.ModelProto, output: str) -> Iterator[onnx.NodeProto]:
    """Walk from an output back to the nearest ReLU on each way, and yield what lies between."""
    node = producers(model).get(output)
    if node is not None and node.op_type != "Relu":
        yield node
        for name in node.input:
            yield from back_to_relu(model, name)


# ---------------------------------------------------------------- the input


def test_normalising_makes_the_zero_level_0_and_the_scale_1() -> None:
    levels = np.array([INPUT_ZERO, 0, 255], np.uint8)
    # mean 122/255 and deviation 0.24 of the range
    assert normalise(levels) == pytest.approx([0, -122 / 61.2, 133 / 61.2])
    assert normalise(levels).dtype == np.float32


@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_convolution_equals_the_one_on_equal_channels_borders_too(bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=bias)
    grey = torch.randn(2, 1, 20, 23) + 5  # far from the padding's zeros
    with torch.inference_mode():
        expected, folded = conv(grey.expand(-1, 3, -1, -1)), fold_grey(conv)(grey)
    assert folded.shape == (2, 8, 10, 12)
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5)


def test_a_folded_convolution_has_one_input_channel() -> None:
    assert fold_grey(nn.Conv2d(3, 8, 7)).weight.shape == (8, 1, 7, 7)


# ---------------------------------------------------------------- float32


@pytest.mark.parametrize("batch", [1, 3])
def test_the_float32_core_gives_pytorchs_logits(
    core: onnx.ModelProto, network: GreyResNet, batch: int
) -> None:
    images = draw_images(batch, seed=5)
    expected = pytorch_logits(network, images)
    assert expected.std() > 0.1  # or agreeing would be easy
    np.testing.assert_allclose(logits_of(core, network, images), expected, rtol=0, atol=1e-4)


def test_the_float32_core_gives_the_pooled_features(
    core: onnx.ModelProto, network: GreyResNet, images: Images
) -> None:
    seen: list[Tensor] = []
    hook = network.resnet.avgpool.register_forward_hook(lambda *args: seen.append(args[-1]))
    pytorch_logits(network, images)
    hook.remove()
    (pooled,) = run_graph(take_images(core), ["pooled"], image=images)
    np.testing.assert_allclose(pooled, seen[0].flatten(1).numpy(), rtol=0, atol=1e-4)


def test_batch_norms_are_folded_away(core: onnx.ModelProto) -> None:
    operators = {node.op_type for node in core.graph.node}
    assert operators == {"Conv", "Relu", "MaxPool", "Add", "ReduceMean"}


def test_exporting_leaves_the_network_as_it_was(core: onnx.ModelProto, network: GreyResNet) -> None:
    assert core.graph.node  # exported from `network`
    again = make_network().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())
    assert network.resnet.conv1.weight.shape[1] == 3
    assert isinstance(network.resnet.bn1, nn.BatchNorm2d)


def test_a_graph_that_answers_otherwise_than_pytorch_stops_the_export(
    core: onnx.ModelProto, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_another(_: object, __: object, path: Path, **___: object) -> None:
        onnx.save(core, path)

    monkeypatch.setattr(torch.onnx, "export", export_another)
    with pytest.raises(ExportError, match=r"ONNX and PyTorch differ by .*, over 1e-04"):
        export_fp32(make_network(seed=1), images)


# ---------------------------------------------------------------- int8


def test_the_int8_logits_are_near_the_float32_ones(
    core: onnx.ModelProto, int8_core: onnx.ModelProto, network: GreyResNet
) -> None:
    images = draw_images(8, seed=6)
    exact, rounded = (logits_of(model, network, images) for model in (core, int8_core))
    assert not np.array_equal(exact, rounded)
    assert np.abs(rounded - exact).max() < 0.15 * exact.std()


def test_every_convolution_but_the_heads_has_int8_weights_with_a_scale_a_channel(
    int8_core: onnx.ModelProto,
) -> None:
    constants, made_by = read_constants(int8_core), producers(int8_core)
    weights = [
        made_by[node.input[1]]
        for node in int8_core.graph.node
        if node.op_type == "Conv" and node.input[1] in made_by
    ]
    assert len(weights) == 20
    for weight in weights:
        assert weight.op_type == "DequantizeLinear"
        values, scales = constants[weight.input[0]], constants[weight.input[1]]
        assert (values.dtype, scales.shape) == (np.int8, (len(values),))


def test_the_image_is_the_quantised_tensor_itself(int8_core: onnx.ModelProto) -> None:
    model = take_images(int8_core)
    (blocks,) = (node for node in model.graph.node if "image" in node.input)
    assert blocks.op_type == "SpaceToDepth"  # moves bytes, changes none
    (reader,) = (node for node in model.graph.node if blocks.output[0] in node.input)
    constants = read_constants(model)
    assert reader.op_type == "DequantizeLinear"
    assert constants[reader.input[1]] == pytest.approx(1 / INPUT_SCALE)
    assert (constants[reader.input[2]], constants[reader.input[2]].dtype) == (122, np.uint8)
    (stem,) = (node for node in model.graph.node if reader.output[0] in node.input)
    assert stem.op_type == "Conv"


@pytest.mark.parametrize("calibrated", ["int8_core", "narrow_core"])
def test_the_first_convolutions_bias_is_in_units_of_the_images_scale(
    calibrated: str, request: pytest.FixtureRequest
) -> None:
    # ONNX Runtime up to 1.25 fuses a convolution without looking at the bias's scale.
    model = take_images(request.getfixturevalue(calibrated))
    constants, made_by = read_constants(model), producers(model)
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    image, weight, bias = (constants[made_by[name].input[1]] for name in stem.input)
    np.testing.assert_allclose(bias, image * weight, rtol=1e-6)


def test_calibration_images_of_low_contrast_do_not_clip_those_of_full_contrast(
    narrow_core: onnx.ModelProto,
) -> None:
    constants = read_constants(narrow_core)
    (reader,) = (node for node in narrow_core.graph.node if "normalised" in node.input)
    assert constants[reader.input[1]] == pytest.approx(1 / INPUT_SCALE)
    assert constants[reader.input[2]] == INPUT_ZERO


@pytest.mark.parametrize("output", ["cam", "pooled"])
def test_nothing_after_the_last_relu_is_quantised(int8_core: onnx.ModelProto, output: str) -> None:
    between = [node.op_type for node in back_to_relu(int8_core, output)]
    assert between == [{"cam": "Conv", "pooled": "ReduceMean"}[output]]
    (last,) = (node for node in int8_core.graph.node if output in node.output)
    weights = [read_constants(int8_core)[name] for name in last.input[1:]]
    assert {weight.dtype.name for weight in weights} <= {"float32", "int64"}  # int64: the axes


def test_the_last_relu_and_addition_are_not_quantised(int8_core: onnx.ModelProto) -> None:
    made_by = producers(int8_core)
    (cam,) = (node for node in int8_core.graph.node if "cam" in node.output)
    relu = made_by[cam.input[0]]
    addition = made_by[relu.input[0]]
    assert (relu.op_type, addition.op_type) == ("Relu", "Add")


# ---------------------------------------------------------------- ranges of activations


@pytest.mark.parametrize("method", METHODS)
def test_by_any_method_the_answers_are_near_the_float32_ones(
    small_core: onnx.ModelProto, method: CalibrationName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_BATCH", 3)  # the last batch is one of 2
    images = draw_images(8, seed=6)
    quantised = quantise(small_core, draw_images(8, seed=1), method)
    exact, rounded = (
        run_graph(take_images(model), ["cam"], image=images)[0] for model in (small_core, quantised)
    )
    assert not np.array_equal(exact, rounded)
    assert np.abs(rounded - exact).mean() < 0.05 * exact.std()


def test_by_minmax_the_ranges_reach_to_what_was_seen(small_core: onnx.ModelProto) -> None:
    images = draw_images(8, seed=1)
    seen = onnx.ModelProto()
    seen.CopyFrom(small_core)
    seen.graph.output.append(_floats("c", 8, 7, 7))
    (pooled,) = run_graph(seen, ["c"], normalised=normalise(images))
    low, high = activation_ranges(quantise(small_core, images))["c"]
    assert (low, high) == pytest.approx((0, pooled.max()))


def test_by_percentile_no_range_is_wider_than_by_minmax(small_core: onnx.ModelProto) -> None:
    images = draw_images(32, seed=1)
    widest, clipped = (
        {
            name: high - low
            for name, (low, high) in activation_ranges(quantise(small_core, images, way)).items()
        }
        for way in ("minmax", "percentile")
    )
    assert widest.keys() == clipped.keys()
    assert all(clipped[name] <= width * 1.000001 for name, width in widest.items())
    assert clipped != widest


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_however_the_images_are_batched_all_of_them_count(
    small_core: onnx.ModelProto, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(4, seed=1)
    images[[0, 2, 3]] //= 2  # the second alone reaches to white
    together = activation_ranges(quantise(small_core, images))
    monkeypatch.setattr(export, "_BATCH", batch)
    apart = activation_ranges(quantise(small_core, images))
    assert apart.keys() == together.keys()
    assert all(apart[name] == pytest.approx(ends) for name, ends in together.items())


@pytest.mark.parametrize("method", METHODS)
def test_the_calibrator_holds_one_batch_at_a_time(
    small_core: onnx.ModelProto, method: CalibrationName, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    reader = export._Calibration

    class Watched(reader):  # type: ignore[misc,valid-type]
        def set_range(self, start_index: int, end_index: int) -> None:
            asked.append((start_index, end_index))
            super().set_range(start_index, end_index)

    monkeypatch.setattr(export, "_Calibration", Watched)
    monkeypatch.setattr(export, "_BATCH", 2)
    quantise(small_core, draw_images(5, seed=1), method)
    assert asked == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("method", METHODS)
def test_quantising_says_nothing_and_leaves_logging_alone(
    small_core: onnx.ModelProto,
    method: CalibrationName,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    quantise(small_core, draw_images(2), method)
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")
