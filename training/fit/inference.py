"""Running a network on the device and at the precision that a run uses."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.config import Config
from training.fit.network import GreyResNet
from training.run.environment import uses_bfloat16

_BATCH: Final = 64


@torch.inference_mode()
def predict(model: GreyResNet, images: NDArray[np.uint8], config: Config) -> Tensor:
    """Return logits, float32 [N, 4], for uint8 images [N, 1, H, W]."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(images[start : start + _BATCH]).to(device).float()
        with autocast(config, device):
            outputs.append(model(batch.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(outputs)


def place(model: GreyResNet, device: torch.device) -> GreyResNet:
    """Move a network to a device, in the layout that is fastest there."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16, if the run does."""
    enabled = uses_bfloat16(config.precision, device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
