"""The network's exported graphs; making them takes seconds, so one worker runs these tests."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.training.networks import draw_images
from training.export.onnx_export import export_fp32, quantise
from training.fit.network import GreyResNet


@pytest.fixture(scope="session")
def core(network: GreyResNet, images: NDArray[np.uint8]) -> onnx.ModelProto:
    """The network's float32 core."""
    return export_fp32(network, images)


@pytest.fixture(scope="session")
def int8_core(core: onnx.ModelProto) -> onnx.ModelProto:
    """The core quantised on images from black to white."""
    return quantise(core, draw_images(8, seed=1))
