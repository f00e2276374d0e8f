"""ONNX surgery: from the bare network to the graph that serving runs.

The core, exported from PyTorch, maps ``normalised`` float32 [N, 1, side, side] to ``cam``
[N, 4, side / 32, side / 32] and ``pooled`` [N, 512]. `training.export.input_rule.take_images` puts
the input rule in front, `answer` puts the contract's outputs behind (app.model.session.Outputs).
All that follows the last ReLU is float32.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.model.labels import ORIENTATIONS

Floats = NDArray[np.float32]

_TAIL_CONSTANTS: Final = (
    *("axes_pixels", "axis_one", "axis_two", "head_bias", "temperature"),
    *("whitening", "centres", "turns", "turns_bias"),
)
_TAIL_OUTPUTS: Final = frozenset(
    (
        *("cam_mean", "logits", "cooled", "probabilities"),
        *("whitened", "whitened_row", "offsets", "distances", "distance"),
        *("turned", "turned_logits", "orientation"),
    )
)


@dataclass(frozen=True, slots=True)
class Tail:
    """What turns the core's outputs into answers, float32.

    Parameters
    ----------
    bias : [4], the head's
    temperature : divides the logits
    whitening : [512, 512], makes pooled features isotropic within a class
    centres : [4, 512], whitened class means
    orientation, orientation_bias : [512, 5], [5], logits of
        `app.model.labels.ORIENTATIONS` from whitened features
    """

    bias: Floats
    temperature: float
    whitening: Floats
    centres: Floats
    orientation: Floats
    orientation_bias: Floats


def answer(model: onnx.ModelProto, tail: Tail) -> onnx.ModelProto:
    """Return a copy with the contract's outputs (app.model.session.Outputs)."""
    answering = onnx.ModelProto()
    answering.CopyFrom(model)
    graph = answering.graph
    cam = _cam_shape(graph)
    constants: dict[str, NDArray[np.generic]] = {
        "axes_pixels": np.array([2, 3], np.int64),
        "axis_one": np.array([1], np.int64),
        "axis_two": np.array([2], np.int64),
        "head_bias": tail.bias,
        "temperature": np.array(tail.temperature, np.float32),
        "whitening": tail.whitening,
        "centres": tail.centres[np.newaxis],
        "turns": tail.orientation,
        "turns_bias": tail.orientation_bias,
    }
    for name, value in constants.items():
        add_constant(graph, name, value)
    node = helper.make_node
    graph.node.extend(
        [
            node("ReduceMean", ["cam", "axes_pixels"], ["cam_mean"], keepdims=0),
            node("Add", ["cam_mean", "head_bias"], ["logits"]),
            node("Div", ["logits", "temperature"], ["cooled"]),
            node("Softmax", ["cooled"], ["probabilities"], axis=1),
            node("MatMul", ["pooled", "whitening"], ["whitened"]),
            node("Unsqueeze", ["whitened", "axis_one"], ["whitened_row"]),
            node("Sub", ["whitened_row", "centres"], ["offsets"]),
            node("ReduceSumSquare", ["offsets", "axis_two"], ["distances"], keepdims=0),
            node("ReduceMin", ["distances", "axis_one"], ["distance"], keepdims=0),
            node("MatMul", ["whitened", "turns"], ["turned"]),
            node("Add", ["turned", "turns_bias"], ["turned_logits"]),
            node("Softmax", ["turned_logits"], ["orientation"], axis=1),
        ]
    )
    del graph.output[:]
    shapes: dict[str, list[str | int | None]] = {
        "probabilities": [4],
        "logits": [4],
        "cam": cam,
        "distance": [],
        "orientation": [len(ORIENTATIONS)],
    }
    for name, shape in shapes.items():
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        graph.output.append(info)
    _strip_notes(graph)
    onnx.checker.check_model(answering)
    return answering


def cut_tail(graph: bytes) -> tuple[onnx.ModelProto, Floats, float]:
    """Undo `answer`: return the graph that takes images to cam and pooled, bias, temperature."""
    model = onnx.load_from_string(graph)
    bare = model.graph
    kept = {each.name: numpy_helper.to_array(each) for each in bare.initializer}
    for node in [node for node in bare.node if _TAIL_OUTPUTS.issuperset(node.output)]:
        bare.node.remove(node)
    drop_constants(bare, _TAIL_CONSTANTS)
    cam = _cam_shape(bare)
    del bare.output[:]
    for name, shape in (("cam", cam), ("pooled", [512])):
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        bare.output.append(info)
    onnx.checker.check_model(model)
    return model, kept["head_bias"], kept["temperature"].item()


def expose_pooled(graph: bytes) -> onnx.ModelProto:
    """Return a graph that serving runs, with its pooled features [N, 512] as an output more."""
    model = onnx.load_from_string(graph)
    info = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", 512])
    model.graph.output.append(info)
    return model


def _cam_shape(graph: onnx.GraphProto) -> list[str | int | None]:
    """Return the shape of a graph's maps but for N: labels, rows, columns."""
    (cam,) = (output for output in graph.output if output.name == "cam")
    return [dim.dim_value for dim in cam.type.tensor_type.shape.dim[1:]]


def _strip_notes(graph: onnx.GraphProto) -> None:
    """Remove the exporter's notes: stack traces that name folders of whoever trained."""
    for thing in (graph, *graph.node, *graph.value_info, *graph.initializer):
        del thing.metadata_props[:]
        thing.doc_string = ""


def drop_constants(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Remove a graph's initializers of these names."""
    for constant in [constant for constant in graph.initializer if constant.name in names]:
        graph.initializer.remove(constant)


def add_constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> None:
    """Give a graph an initializer more."""
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
