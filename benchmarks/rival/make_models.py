"""Write the rivals' ResNet-18 into a folder: weights, ONNX fp32, ONNX int8 by a plain export.

    python make_models.py FOLDER

Random weights: they take as long as trained ones. Three input channels, as torchvision has it.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from training.fit.torchvision_compat import import_torchvision

CALIBRATION_BATCHES = 8


class Noise(CalibrationDataReader):
    """A few batches of what normalised images are like."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        shape = (CALIBRATION_BATCHES, 4, 3, 224, 224)
        self.batches = iter(generator.normal(size=shape).astype(np.float32))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch."""
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


def main(folder: Path) -> None:
    """Write the three files, the weights last: they say that all are there."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model = import_torchvision().resnet18(num_classes=4).eval()
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 224, 224),),
        folder / "fp32.onnx",
        dynamo=True,
        dynamic_shapes={"x": {0: torch.export.Dim("N")}},
        input_names=["x"],
        output_names=["logits"],
        opset_version=18,
        external_data=False,
        verbose=False,
    )
    quant_pre_process(folder / "fp32.onnx", folder / "ready.onnx", skip_symbolic_shape=True)
    quantize_static(
        folder / "ready.onnx",
        folder / "int8.onnx",
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    torch.save(model.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
