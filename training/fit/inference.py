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


def predict_with_maps(
    model: GreyResNet, images: NDArray[np.uint8], config: Config
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits [N, 4] and class activation maps [N, 4, rows, columns], float32.

    A map's mean plus the head's bias is the logit, as in the graphs that are exported.
    """
    seen: list[Tensor] = []
    hook = model.resnet.layer4.register_forward_hook(
        lambda _, __, features: seen.append(features.float().cpu())
    )
    try:
        logits = predict(model, images, config)
    finally:
        hook.remove()
    weights = model.resnet.fc.weight.detach().float().cpu()
    maps = torch.einsum("nfhw,lf->nlhw", torch.cat(seen), weights)
    return logits.numpy(), maps.numpy()


def place(model: GreyResNet, device: torch.device) -> GreyResNet:
    """Move a network to a device, in the layout that is fastest there."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16, if the run does."""
    enabled = uses_bfloat16(config.precision, device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
