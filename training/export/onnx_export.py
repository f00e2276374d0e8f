"""From a PyTorch checkpoint to ONNX cores: float32, and int8 quantised from it.

The float32 core must equal PyTorch to `PARITY`, or the export stops.
"""

import contextlib
import copy
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from app.errors import NeumoError
from app.image.resize import SIDE_PX
from app.language import Text
from training.config import CalibrationName
from training.data.images import shrink
from training.export.input_rule import CORE_INPUT
from training.fit.network import INPUT_SCALE, INPUT_ZERO, GreyResNet

PARITY: Final = 1e-4
_OPSET: Final = 18
_BATCH: Final = 16


class ExportError(NeumoError):
    """The exported graph is not the trained network."""

    code = "export_failed"
    title = Text("The export failed", "La exportación ha fallado")
    advice = Text("{reason}", "{reason}")


class Core(nn.Module):
    """The trained network cut for serving: one input channel, no batch norms, no pooling head.

    Maps normalised float32 [N, 1, side, side] to class activation maps [N, 4, side / 32,
    side / 32], whose mean plus the head's bias is the logits, and to pooled features [N, 512].
    """

    resnet: Any  # torchvision ships no types

    def __init__(self, model: GreyResNet) -> None:
        super().__init__()
        resnet = copy.deepcopy(model.resnet).eval()
        _fuse_batch_norms(resnet)
        resnet.conv1 = fold_grey(resnet.conv1)
        self.resnet = resnet

    def forward(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Return (cam, pooled)."""
        net = self.resnet
        features = net.maxpool(net.relu(net.conv1(normalised)))
        features = net.layer4(net.layer3(net.layer2(net.layer1(features))))
        cam = F.conv2d(features, net.fc.weight[:, :, None, None])
        return cam, features.mean((2, 3))


def fold_grey(conv: nn.Conv2d) -> nn.Conv2d:
    """Sum a convolution's input filters: the same answer when all its channels are equal."""
    folded = nn.Conv2d(
        1,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    with torch.no_grad():
        folded.weight.copy_(conv.weight.sum(1, keepdim=True))
        if conv.bias is not None and folded.bias is not None:
            folded.bias.copy_(conv.bias)
    return folded


def export_fp32(
    model: GreyResNet, sample: NDArray[np.uint8], side_px: int = SIDE_PX
) -> onnx.ModelProto:
    """Export the core and prove it against PyTorch on `sample`, uint8 [N, 1, 224, 224].

    Parameters
    ----------
    side_px : at which the network sees images: a multiple of 32, at most 224

    Raises
    ------
    ExportError
        If a logit differs by more than `PARITY`.
    """
    core = Core(model).eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # torch 2.13 deep-copies tree specs through a check that it has itself deprecated.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        path = Path(folder) / "core.onnx"
        torch.onnx.export(
            core,
            (torch.zeros(2, 1, side_px, side_px),),  # a batch of 1 would be taken for a constant
            path,
            dynamo=True,
            dynamic_shapes={"normalised": {0: torch.export.Dim("N")}},
            input_names=[CORE_INPUT],
            output_names=["cam", "pooled"],
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
        exported = onnx.load(path)
    sample = shrink(sample, side_px)
    with torch.inference_mode():
        expected = model(torch.from_numpy(sample).float()).numpy()
    session = ort.InferenceSession(exported.SerializeToString(), providers=_PROVIDERS)
    cam, _ = session.run(None, {CORE_INPUT: normalise(sample)})
    bias = model.resnet.fc.bias.detach().numpy()
    difference = float(np.abs(cam.mean((2, 3)) + bias - expected).max())
    if not difference <= PARITY:
        raise ExportError(reason=f"ONNX and PyTorch differ by {difference:.2e}, over {PARITY:.0e}")
    return exported


def quantise(
    core: onnx.ModelProto, calibration: NDArray[np.uint8], method: CalibrationName = "minmax"
) -> onnx.ModelProto:
    """Quantise a core to int8: QDQ, uint8 activations, int8 weights per channel.

    `calibration`, uint8 [N, 1, 224, 224] and shrunk to the core's side, sets the ranges of
    activations by `method`, but for the input's: that is a byte's, whatever the images hold. The
    last addition and what follows it stay float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (Path(folder) / f"{name}.onnx" for name in ("a", "b", "c"))
        onnx.save(core, source)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # the histograms' print
            quantize_static(
                ready,
                target,
                _Calibration(shrink(calibration, _side_px(core))),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=_METHODS[method],
                op_types_to_quantize=["Conv", "Add", "MaxPool", "Relu"],
                reduce_range=_SEVEN_BIT_WEIGHTS,
                nodes_to_exclude=_nodes_after_last_addition(onnx.load(ready)),
                extra_options={
                    "TensorQuantOverrides": {CORE_INPUT: [_INPUT_RANGE]},
                    "CalibStridedMinMax": _BATCHES_A_COUNT,
                },
            )
        return onnx.load(target)


def _side_px(core: onnx.ModelProto) -> int:
    side: int = core.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    return side


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Apply the input rule: grey levels to the core's float32 input."""
    return ((images.astype(np.float32) - INPUT_ZERO) / INPUT_SCALE).astype(np.float32)


_PROVIDERS: Final = ["CPUExecutionProvider"]

_METHODS: Final = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}

# The calibrator keeps every activation of a batch (0.6 GB) until it has counted it: by this
# option, of every method whatever its name says, after each batch. Without it entropy and
# percentile keep them all; `CalibMaxIntermediateOutputs` throws away what minmax has measured.
_BATCHES_A_COUNT: Final = 1

# With 8 bits, sums of two products overflow 16 bits on x86 CPUs with AVX2 but without VNNI:
# probabilities moved by up to 0.29 there. With 7 they are the same to the bit, and validation
# macro-AUROC is as it was (0.9652 against 0.9651; fp32 0.9652).
_SEVEN_BIT_WEIGHTS: Final = True

# The first convolution's bias is quantised by the input's scale, so that must already be the
# one `training.export.input_rule.take_images` gives the image; a range measured on images may be
# narrower.
_INPUT_RANGE: Final = {
    "scale": np.array(1 / INPUT_SCALE, np.float32),
    "zero_point": np.array(INPUT_ZERO, np.uint8),
}


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Hands images to ONNX Runtime's calibrator in batches, those it has asked for."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        self._asked_for: Iterator[NDArray[np.uint8]] = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._asked_for = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._asked_for, None)
        return None if batch is None else {CORE_INPUT: normalise(batch)}


def _nodes_after_last_addition(core: onnx.ModelProto) -> list[str]:
    """Name the last residual addition and every node that depends on it."""
    nodes = list(core.graph.node)
    last = max(index for index, node in enumerate(nodes) if node.op_type == "Add")
    reached = set(nodes[last].output)
    names = [nodes[last].name]
    for node in nodes[last + 1 :]:
        if reached.intersection(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


def _fuse_batch_norms(resnet: nn.Module) -> None:
    def fuse(owner: nn.Module, conv: str, norm: str) -> None:
        fused = fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm))
        setattr(owner, conv, fused)
        setattr(owner, norm, nn.Identity())

    fuse(resnet, "conv1", "bn1")
    for name in ("layer1", "layer2", "layer3", "layer4"):
        for block in getattr(resnet, name):
            fuse(block, "conv1", "bn1")
            fuse(block, "conv2", "bn2")
            if block.downsample is not None:
                fuse(block.downsample, "0", "1")
