"""From a bundle's int8 graph back to a checkpoint: weights that training can start from.

For going on with a network whose checkpoint is not at hand: a hospital that fine-tunes the bundle
it serves, a release that starts from the one before. Weights come back as exactly as their 7 bits
tell. Batch normalisation was folded into them; it is put back with the mean and the variance that
images have there, so that the network answers as before and can be trained on.
"""

from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from training.data.images import shrink
from training.export.input_rule import STEM_KERNEL, kernel_from_blocks
from training.fit.network import GreyResNet, WeightsError
from training.fit.torchvision_compat import import_torchvision

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]

_STRIDE: Final = 32  # of ResNet-18's last features
_CHANNELS: Final = 3  # of torchvision's first convolution; all of them see the one grey


def restore_weights(graph: bytes, images: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Return a ResNet-18's state dict, head included, that answers as an int8 graph does.

    Parameters
    ----------
    graph : ``model.onnx`` of a bundle
    images : uint8 [N, 1, 224, 224], some hundred images of all labels

    Raises
    ------
    WeightsError
        If it is no int8 graph of this project.
    """
    model = onnx.load_from_string(graph)
    stored: Arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    resnet = import_torchvision().resnet18(weights=None).eval()
    try:
        norms = [
            _restore(resnet.get_submodule(name), resnet.get_submodule(_norm_of(name)), name, stored)
            for name, layer in resnet.named_modules()
            if isinstance(layer, nn.Conv2d)
        ]
        head = _find_head(model.graph, stored)
        resnet.fc = nn.Linear(head.shape[1], head.shape[0])
        resnet.fc.weight.data = torch.from_numpy(head)
        resnet.fc.bias.data = torch.from_numpy(stored["head_bias"].copy())
    except (KeyError, ValueError, RuntimeError, StopIteration):
        raise WeightsError(
            reason="The bundle's graph is no int8 graph that neumo-train wrote."
        ) from None
    _renormalise(GreyResNet(resnet), norms, shrink(images, _find_side(model.graph)))
    state: dict[str, Tensor] = resnet.state_dict()
    return state


def _restore(conv: nn.Conv2d, norm: nn.BatchNorm2d, name: str, stored: Arrays) -> nn.BatchNorm2d:
    """Fill a convolution, and have the normalisation behind it add the bias and no more."""
    weights, bias = _dequantise(stored, f"resnet.{name}")
    if conv.in_channels == _CHANNELS:
        if weights.shape[1:] != STEM_KERNEL:
            weights = kernel_from_blocks(weights)
        weights = np.repeat(weights, _CHANNELS, axis=1) * np.float32(1 / _CHANNELS)
    if weights.shape != tuple(conv.weight.shape):
        raise ValueError(name)
    conv.weight.data = torch.from_numpy(np.ascontiguousarray(weights))
    norm.weight.data = torch.ones(len(bias))
    norm.bias.data = torch.from_numpy(bias)
    norm.running_mean = torch.zeros(len(bias))
    norm.running_var = torch.full((len(bias),), 1 - norm.eps)
    return norm


def _norm_of(conv: str) -> str:
    """Return the name of the normalisation behind a convolution of torchvision's ResNet."""
    if conv.endswith("downsample.0"):
        return conv.removesuffix("0") + "1"
    place, _, number = conv.rpartition("conv")
    return f"{place}bn{number}"


def _dequantise(stored: Arrays, name: str) -> tuple[Floats, Floats]:
    """Return weights and bias of a layer; the scale of each is stored under another stem."""

    def values(levels_of: str, scale_of: str) -> Floats:
        levels = stored[levels_of].astype(np.float32)
        shape = (-1, *[1] * (levels.ndim - 1))
        zero, scale = (stored[f"{scale_of}_{each}"] for each in ("zero_point", "scale"))
        return ((levels - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)

    weight, bias = f"{name}.weight", f"{name}.bias_quantized"
    return values(f"{weight}_quantized", weight), values(bias, bias)


def _find_head(graph: onnx.GraphProto, stored: Arrays) -> Floats:
    """Return the head's weights, [4, 512]: those of the convolution that makes the maps."""
    conv = next(node for node in graph.node if "cam" in node.output)
    return stored[conv.input[1]][:, :, 0, 0].astype(np.float32)


def _find_side(graph: onnx.GraphProto) -> int:
    """Return the side in pixels at which the network sees images, by that of its maps."""
    (cam,) = (output for output in graph.output if output.name == "cam")
    return int(cam.type.tensor_type.shape.dim[-1].dim_value) * _STRIDE


@torch.inference_mode()
def _renormalise(model: GreyResNet, norms: list[nn.BatchNorm2d], images: NDArray[np.uint8]) -> None:
    """Give each normalisation the statistics of these images; what it answers stays the same."""
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101 - what it was registered on
        seen[norm] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))

    hooks = [norm.register_forward_hook(look) for norm in norms]
    model.eval()(torch.from_numpy(images).float())
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in seen.items():
        norm.running_mean, norm.running_var = mean, variance
        norm.weight.data = (variance + norm.eps).sqrt()
        norm.bias.data = norm.bias.data + mean
