"""What stands in a graph before the network: bytes of 224 x 224 become what it sees.

A resize where the network's side is another, normalisation, and the first convolution arranged for
speed. The rule itself is `training.fit.network.GreyResNet`'s.
"""

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.image.resize import SIDE_PX
from training.export.graph import add_constant, drop_constants
from training.fit.network import INPUT_SCALE, INPUT_ZERO

CORE_INPUT: Final = "normalised"
_BLOCK_PX: Final = 2  # the first convolution's stride
STEM_KERNEL: Final = (1, 7, 7)  # channels, rows, columns: ResNet's, with 3 pixels of padding
_IMAGE_SHAPE: Final[list[str | int | None]] = ["N", 1, SIDE_PX, SIDE_PX]
_RESIZED: Final = "image_resized"


def take_images(core: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the core that takes ``image``, uint8 [N, 1, 224, 224].

    Quantised: the bytes of the image already are the quantised tensor (zero point
    `INPUT_ZERO`), so the first QuantizeLinear goes and its DequantizeLinear reads the image,
    in blocks (`read_blocks`). Otherwise: Cast, Sub, Div. Where the core's side is less than 224,
    the image is resized to it first, as `training.data.images.shrink` does.
    """
    model = onnx.ModelProto()
    model.CopyFrom(core)
    graph = model.graph
    side = graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    head = _resize(graph, side) if side != SIDE_PX else []
    image = _RESIZED if head else "image"
    quantise = [node for node in graph.node if CORE_INPUT in node.input]
    if [node.op_type for node in quantise] == ["QuantizeLinear"]:
        (dequantise,) = (node for node in graph.node if quantise[0].output[0] in node.input)
        dequantise.input[:] = [image, "image_scale", "image_zero"]
        graph.node.remove(quantise[0])
        drop_constants(graph, quantise[0].input[1:])
        add_constant(graph, "image_scale", np.array(1 / INPUT_SCALE, np.float32))
        add_constant(graph, "image_zero", np.array(INPUT_ZERO, np.uint8))
    else:
        add_constant(graph, "image_scale", np.array(INPUT_SCALE, np.float32))
        add_constant(graph, "image_zero", np.array(INPUT_ZERO, np.float32))
        head += [
            helper.make_node("Cast", [image], ["image_float"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["image_float", "image_zero"], ["image_centred"]),
            helper.make_node("Div", ["image_centred", "image_scale"], [CORE_INPUT]),
        ]
    nodes = head + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, _IMAGE_SHAPE))
    onnx.checker.check_model(model)
    return read_blocks(model)


def _resize(graph: onnx.GraphProto, side_px: int) -> list[onnx.NodeProto]:
    """Return the nodes that resize ``image`` to a side, uint8 to uint8, antialiased.

    Computed in float32 and rounded half to even: PyTorch's antialiased bilinear, to a rounding
    error. `exclude_outside` weighs pixels at the border as PyTorch does.
    """
    add_constant(graph, "image_size", np.array([side_px, side_px], np.int64))
    node = helper.make_node
    return [
        node("Cast", ["image"], ["image_exact"], to=TensorProto.FLOAT),
        node(
            "Resize",
            ["image_exact", "", "", "image_size"],
            ["image_scaled"],
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
            axes=[2, 3],
        ),
        node("Round", ["image_scaled"], ["image_whole"]),
        node("Cast", ["image_whole"], [_RESIZED], to=TensorProto.UINT8),
    ]


def read_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose first convolution, if it is int8, reads 2 x 2 pixels as four channels.

    A 7 x 7 kernel over one channel, stride 2, gathers its 49 bytes one by one. As 4 x 4 over
    four channels, stride 1, it gathers words: half the time, and the same sums, so answers
    equal to the bit. A row and a column of zeros in front make the kernel 8 x 8, whole blocks.
    """
    arranged = onnx.ModelProto()
    arranged.CopyFrom(model)
    graph = arranged.graph
    resized = [place for place, node in enumerate(graph.node) if _RESIZED in node.output]
    image = _RESIZED if resized else "image"
    readers = [node for node in graph.node if image in node.input]
    if [node.op_type for node in readers] != ["DequantizeLinear"]:
        return arranged  # float32, or arranged already
    (dequantise,) = readers
    (conv,) = (node for node in graph.node if dequantise.output[0] in node.input)
    (weights,) = (node for node in graph.node if conv.input[1] in node.output)
    (stored,) = (each for each in graph.initializer if each.name == weights.input[0])
    kernel = numpy_helper.to_array(stored)
    if kernel.shape[1:] != STEM_KERNEL:
        return arranged
    kernel = _kernel_of_blocks(kernel)
    stored.CopyFrom(numpy_helper.from_array(kernel, stored.name))
    attributes = {
        "kernel_shape": kernel.shape[2:],
        "strides": (1, 1),
        # The 3 pixels around the image, with the row of zeros in front 4: 2 blocks. Behind 1.5,
        # of which the last kernel reaches 1.
        "pads": (2, 2, 1, 1),
    }
    del conv.attribute[:]
    conv.attribute.extend(helper.make_attribute(*each) for each in attributes.items())
    dequantise.input[0] = "image_blocks"
    arrange = helper.make_node("SpaceToDepth", [image], ["image_blocks"], blocksize=_BLOCK_PX)
    graph.node.insert(resized[0] + 1 if resized else 0, arrange)
    del graph.value_info[:]  # shapes of before; ONNX Runtime infers its own
    onnx.checker.check_model(arranged)
    return arranged


def _kernel_of_blocks(kernel: NDArray[np.generic]) -> NDArray[np.generic]:
    """Rearrange [filters, 1, 7, 7] to [filters, 4, 4, 4], channels as SpaceToDepth's."""
    padded = np.pad(kernel, ((0, 0), (0, 0), (1, 0), (1, 0)))
    filters, side = len(kernel), padded.shape[2] // _BLOCK_PX
    blocks = padded.reshape(filters, side, _BLOCK_PX, side, _BLOCK_PX)
    rows_then_columns = blocks.transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(rows_then_columns.reshape(filters, _BLOCK_PX**2, side, side))


def kernel_from_blocks(kernel: NDArray[Any]) -> NDArray[Any]:
    """Undo what `read_blocks` did to a kernel: from [filters, 4, 4, 4] to [filters, 1, 7, 7].

    Raises
    ------
    ValueError
        If it is of another shape.
    """
    filters, _, side, _ = kernel.shape
    blocks = kernel.reshape(filters, _BLOCK_PX, _BLOCK_PX, side, side).transpose(0, 3, 1, 4, 2)
    whole = blocks.reshape(filters, 1, side * _BLOCK_PX, side * _BLOCK_PX)
    return whole[:, :, 1:, 1:]
