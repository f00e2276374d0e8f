"""Settings, networks and graphs for tests: seeded, and small where the code allows."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.config import Config
from training.data.images import ImageSet
from training.data.manifest import Sample
from training.export.input_rule import CORE_INPUT
from training.fit.network import GreyResNet, build_model
from training.fit.torchvision_compat import import_torchvision


def make_config(**changes: object) -> Config:
    """Return valid settings: random weights, float32, one epoch of batches of 8."""
    values: dict[str, object] = {
        "name": "neumo-test-1",
        "data": "manifest.csv",
        "weights": "random",
        "precision": "fp32",
        "epochs": 1,
        "batch_size": 8,
    }
    return Config.model_validate(values | changes)


def draw_images(count: int, seed: int = 0, side: int = 224) -> NDArray[np.uint8]:
    """Draw uint8 [count, 1, side, side] of blocks from black to white, up to the very border."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16))
    return small.repeat(side // 16, 2).repeat(side // 16, 3).astype(np.uint8)


def make_image_set(count: int = 16, seed: int = 0, side: int = 64) -> ImageSet:
    """Draw square images with the labels 0, 1, 2, 3, 0, 1, ...; a patient each."""
    samples = [
        Sample(Path(), frozenset({row % 4}), str(row), "train", "drawn", "none")
        for row in range(count)
    ]
    return ImageSet(draw_images(count, seed, side), samples)


def make_network(seed: int = 0) -> GreyResNet:
    """Return a random network whose batch norms matter: biased, and used to real activations."""
    torch.manual_seed(seed)
    network = build_model(make_config())
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.normal_(norm.bias, 0.3, 0.3)
        norm.momentum = None  # the plain mean of what it sees
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(draw_images(8, seed=99)).float())
    return network.eval()


class SmallNetwork(nn.Module):
    """A thousandth of a ResNet-18, of the same kinds of parts, for tests of what trains it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5, stride=4)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.bn1(self.conv1(images)).relu().mean((2, 3))
        logits: Tensor = self.fc(features)
        return logits


def build_small_model(_: Config) -> GreyResNet:
    """Stand in for `build_model`, with random weights."""
    return GreyResNet(SmallNetwork())


def build_slim_resnet(_: Config) -> GreyResNet:
    """Stand in for `build_model`: a ResNet of four narrow blocks, a tenth of the work.

    Its parts are a ResNet-18's, and so are its inputs, features and maps: it can be exported.
    """
    models = import_torchvision()
    resnet = models.resnet18(weights=None, num_classes=4)
    widths = [32, 32, 32, 64, 512]  # with 8, torch 2.13 crashed in a backward pass
    resnet.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
    resnet.bn1 = nn.BatchNorm2d(widths[0])
    for number, (width, wider) in enumerate(pairwise(widths), start=1):
        stride = 1 if number == 1 else 2
        shortcut = nn.Sequential(
            nn.Conv2d(width, wider, 1, stride=stride, bias=False), nn.BatchNorm2d(wider)
        )
        block = models.resnet.BasicBlock(width, wider, stride, None if stride == 1 else shortcut)
        setattr(resnet, f"layer{number}", nn.Sequential(block))
    return GreyResNet(resnet)


def make_small_core(seed: int = 0, side: int = 224) -> onnx.ModelProto:
    """Return a float32 core for tests of what is done with one: 32 x 32 pixels a cell, no ResNet.

    Its input and outputs are those of `training.export.onnx_export.Core`.
    """
    generator = np.random.default_rng(seed)
    shapes = {"see": (8, 1, 32, 32), "mix": (512, 8, 1, 1), "head": (4, 512, 1, 1)}
    weights = {
        name: generator.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Conv", [CORE_INPUT, "see"], ["seen"], strides=[32, 32]),
        node("Conv", ["seen", "mix"], ["mixed"]),
        node("Relu", ["mixed"], ["features"]),
        node("Conv", ["features", "head"], ["cam"]),
        node("GlobalAveragePool", ["features"], ["averaged"]),
        node("Flatten", ["averaged"], ["pooled"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "core",
        [info(CORE_INPUT, onnx.TensorProto.FLOAT, ["N", 1, side, side])],
        [
            info("cam", onnx.TensorProto.FLOAT, ["N", 4, side // 32, side // 32]),
            info("pooled", onnx.TensorProto.FLOAT, ["N", 512]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    return onnx.helper.make_model(graph, ir_version=10, opset_imports=opset)


def run_graph(
    model: onnx.ModelProto, outputs: list[str], **inputs: NDArray[Any]
) -> list[NDArray[np.float32]]:
    """Run a graph once and return the outputs asked for."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: list[NDArray[np.float32]] = session.run(outputs, inputs)
    return answers


def read_constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Return a graph's initializers by name."""
    return {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
