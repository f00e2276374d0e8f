"""Restoring: a bundle's int8 graph as weights that training can start from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import Network
from tests.training.networks import draw_images
from training.export.graph import Tail, answer
from training.export.input_rule import kernel_from_blocks, take_images
from training.export.restore import restore_weights
from training.fit.network import GreyResNet, WeightsError
from training.fit.torchvision_compat import import_torchvision

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def graph(int8_core: onnx.ModelProto) -> bytes:
    """An int8 graph as served."""
    centres = np.zeros((4, 512), np.float32)
    turns = np.zeros((512, 5), np.float32)
    bias = np.array([0.5, 0, -0.5, 0], np.float32)
    tail = Tail(bias, 1.0, np.eye(512, dtype=np.float32), centres, turns, turns[0])
    served: bytes = answer(take_images(int8_core), tail).SerializeToString()
    return served


def _restored(state: dict[str, torch.Tensor]) -> GreyResNet:
    resnet = import_torchvision().resnet18(weights=None, num_classes=4)
    resnet.load_state_dict(state)
    return GreyResNet(resnet)


def test_the_restored_network_answers_as_the_shipped_bundle_does() -> None:
    bundle = read_bundle(find_bundle("neumo-r18-2"))
    images = np.stack(
        [resize(decode(path.read_bytes())) for path in sorted(EXAMPLES.glob("*.jpg"))]
    )
    model = _restored(restore_weights(bundle.graph, images)).eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(images).float()) / bundle.card.temperature
    served = Network(bundle.graph).run(images).probabilities
    assert np.abs(logits.softmax(1).numpy() - served).max() < 0.1
    assert sorted(logits.argmax(1).tolist()) == [0, 1, 2, 3]


def test_a_batch_in_training_is_normalised_as_the_restored_statistics_are(graph: bytes) -> None:
    images = draw_images(8, seed=3)
    model = _restored(restore_weights(graph, images))
    batch = torch.from_numpy(images).float()
    with torch.inference_mode():
        resting = model.eval()(batch)
        training = model.train()(batch)
    assert torch.allclose(resting, training, atol=0.05 * float(resting.abs().max()))


def test_kernels_come_back_from_blocks_to_the_number(
    int8_core: onnx.ModelProto,
) -> None:
    def stem(model: onnx.ModelProto) -> NDArray[np.generic]:
        (kernel,) = (
            onnx.numpy_helper.to_array(each)
            for each in model.graph.initializer
            if each.name == "resnet.conv1.weight_quantized"
        )
        return kernel

    blocks = stem(take_images(int8_core))
    assert blocks.shape[1:] == (4, 4, 4)
    assert np.array_equal(kernel_from_blocks(blocks), stem(int8_core))


def test_a_graph_of_another_kind_is_refused(core: onnx.ModelProto) -> None:
    with pytest.raises(WeightsError, match="no int8 graph that neumo-train wrote"):
        restore_weights(core.SerializeToString(), draw_images(2, seed=0))
