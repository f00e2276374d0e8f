"""Random changes of training images, whole batches at a time.

What may vary between two radiographs of the same chest: position, size, the two axes'
scale, exposure, contrast, noise. Never mirrored: the heart has a side.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return changed copies of uint8 images [N, 1, H, W], as float32 from 0 to 255."""
    return _jitter(_warp(images.float(), generator), generator).clamp_(0, 255)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count).uniform_(low, high, generator=generator)


def _warp(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate up to 10 degrees, shift up to 6 %, scale each axis by 0.9 to 1.1."""
    count = len(images)
    angle = _uniform(count, -10, 10, generator) * (math.pi / 180)
    scale_x = _uniform(count, 0.9, 1.1, generator)
    scale_y = _uniform(count, 0.9, 1.1, generator)
    shift = _uniform(2 * count, -0.12, 0.12, generator).view(count, 2)  # of a half side
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = angle.cos() * scale_x
    theta[:, 0, 1] = -angle.sin() * scale_y
    theta[:, 1, 0] = angle.sin() * scale_x
    theta[:, 1, 1] = angle.cos() * scale_y
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary gamma 0.75 to 1.33, contrast and brightness by 20 %, noise up to 5 grey levels."""
    count = len(images)

    def per_image(values: Tensor) -> Tensor:
        return values.view(count, 1, 1, 1)

    gamma = per_image(_uniform(count, -0.287, 0.287, generator).exp())
    contrast = per_image(_uniform(count, 0.8, 1.2, generator))
    brightness = per_image(_uniform(count, -0.2, 0.2, generator)) * 128
    noise = per_image(_uniform(count, 0, 5, generator))
    images = 255 * (images / 255).pow(gamma)
    mean = images.mean((2, 3), keepdim=True)
    images = (images - mean) * contrast + mean + brightness
    return images + noise * torch.randn(images.shape, generator=generator)
