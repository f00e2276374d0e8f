"""Random changes of training images, whole batches at a time.

What may vary between two radiographs of the same chest: position, size, the two axes' scale,
exposure, contrast, tone, sharpness, noise, the resampling and compression behind it, and what is
burned in (`training.augment.marks`). Never mirrored: the heart has a side.

Every random number comes from the generator passed in, so a seed repeats a run; images are
changed on its device, which must be theirs. Lengths are shares of the image's side, so small
images change as large ones do.
"""

import io
import math
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training.augment.chance import chosen, integer, uniform
from training.augment.marks import (
    add_borders,
    annotate,
    erase_borders,
    from_pil,
    mark_corners,
    to_pil,
)
from training.augment.tone import curve_tones
from training.config import Augmentation

_KERNELS: Final = (
    Image.Resampling.NEAREST,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
_BLUR_TAPS: Final = 7
_CLOSER: Final = (0.75, 1.15)
"""How tall the lungs stand in the image must not be taken for a sign: hence bounds so wide."""

_LUNGS_OR_AWAY: Final = (0.7, 1.2)
_BLACK: Final = 0.7
_BLACK_OR_WHITE: Final = 0.85


def augment(
    images: Tensor,
    generator: torch.Generator,
    augmentation: Augmentation = "full",
    share: float = 1.0,
) -> Tensor:
    """Return copies of grey images, changed at random.

    Parameters
    ----------
    images : uint8 [N, 1, H, W], on the generator's device
    augmentation : ``basic`` changes geometry, exposure and noise; ``closer`` enlarges up to a
        third, else like basic; ``full`` also changes sharpness, resampling kernel, JPEG quality,
        and erases or burns in text at the borders; ``hospital`` is full with what tells hospitals
        apart as well: tone curves and windows, lines of text and arrows, borders and wedges, black,
        grey or white around, closer and further views
    share : of the images that are changed; the others stay as they are, so that the network
        and its batch statistics know unchanged images too

    Returns
    -------
    float32 [N, 1, H, W], from 0 to 255
    """
    rows = list(range(len(images))) if share >= 1 else chosen(len(images), share, generator)
    result = images.float()
    if rows:
        change = {
            "basic": _change_basically,
            "closer": _change_closer,
            "full": _change_fully,
            "hospital": _change_hospital,
        }
        result[rows] = change[augmentation](images[rows], generator)
    return result


def _change_basically(
    images: Tensor, generator: torch.Generator, field: tuple[float, float] = (0.9, 1.1)
) -> Tensor:
    warped = _warp(images.float(), generator, 10, field, 0.12)
    changed = _expose(warped, generator, 0.287, 0.2)
    return _grain(changed, generator, 5).clamp_(0, 255)


def _change_closer(images: Tensor, generator: torch.Generator) -> Tensor:
    return _change_basically(images, generator, _CLOSER)


def _change_fully(images: Tensor, generator: torch.Generator) -> Tensor:
    warped = _warp(mark_corners(images, generator).float(), generator, 12, _CLOSER, 0.14)
    changed = _blur(_expose(warped, generator, 0.45, 0.3), generator)
    changed = _grain(changed, generator, 8).clamp_(0, 255)
    return erase_borders(_recompress(changed, generator), generator)


def _change_hospital(images: Tensor, generator: torch.Generator) -> Tensor:
    around = _draw_around(len(images), generator)
    marked = mark_corners(images, generator).float() - around
    warped = _warp(marked, generator, 12, _LUNGS_OR_AWAY, 0.14) + around
    toned = curve_tones(warped.clamp(0, 255), generator)
    changed = _blur(_expose(toned, generator, 0.45, 0.3), generator)
    changed = add_borders(_grain(changed, generator, 8).clamp_(0, 255), generator)
    changed = _recompress(annotate(changed, generator).clone(), generator)
    return erase_borders(changed, generator)


def _draw_around(count: int, generator: torch.Generator) -> Tensor:
    """Draw the grey level around each image: black in seven of ten, white, or any."""
    kind, grey = uniform(count, 0, 1, generator), uniform(count, 0, 255, generator)
    level = torch.where(kind < _BLACK, 0, torch.where(kind < _BLACK_OR_WHITE, 255, grey))
    return level.view(-1, 1, 1, 1)


def _warp(
    images: Tensor,
    generator: torch.Generator,
    degrees: float,
    field: tuple[float, float],
    shift: float,
) -> Tensor:
    """Rotate, scale each axis by itself, and shift by up to `shift` half sides.

    `field` bounds how much of each side is seen: below 1 a part, enlarged; above 1 black is
    added around.
    """
    count = len(images)
    angle = uniform(count, -degrees, degrees, generator) * (math.pi / 180)
    scale_x = uniform(count, *field, generator)
    scale_y = uniform(count, *field, generator)
    theta = torch.zeros(count, 2, 3, device=images.device)
    theta[:, 0, 0] = angle.cos() * scale_x
    theta[:, 0, 1] = -angle.sin() * scale_y
    theta[:, 1, 0] = angle.sin() * scale_x
    theta[:, 1, 1] = angle.cos() * scale_y
    theta[:, :, 2] = uniform(2 * count, -shift, shift, generator).view(count, 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _expose(images: Tensor, generator: torch.Generator, gamma: float, contrast: float) -> Tensor:
    """Vary gamma from exp(-gamma) to exp(gamma), contrast and brightness by `contrast`."""
    shape = (len(images), 1, 1, 1)
    power = uniform(len(images), -gamma, gamma, generator).exp().view(shape)
    factor = uniform(len(images), 1 - contrast, 1 + contrast, generator).view(shape)
    offset = uniform(len(images), -contrast, contrast, generator).view(shape) * 128
    images = 255 * (images.clamp(0, 255) / 255).pow(power)
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean + offset


def _grain(images: Tensor, generator: torch.Generator, levels: float) -> Tensor:
    """Add noise of up to `levels` grey levels' deviation."""
    deviation = uniform(len(images), 0, levels, generator).view(-1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    return images + deviation * noise


def _blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change the sharpness of half the images, two of three blurred, one sharpened.

    By a Gaussian of up to 0.7 % of the side.
    """
    rows = chosen(len(images), 0.5, generator)
    if not rows:
        return images
    side = images.shape[-1]
    sigma = uniform(len(rows), 0.1, 0.007 * side, generator).view(-1, 1)
    amount = uniform(len(rows), -0.5, 1, generator).view(-1, 1, 1, 1)
    taps = torch.arange(_BLUR_TAPS, device=images.device) - _BLUR_TAPS // 2
    weights = (-0.5 * (taps / sigma) ** 2).exp()
    weights = weights / weights.sum(1, keepdim=True)
    picked = images[rows].transpose(0, 1)  # each image a channel: one depthwise convolution
    padded = F.pad(picked, [_BLUR_TAPS // 2] * 4, mode="replicate")
    blurred = F.conv2d(padded, weights[:, None, :, None], groups=len(rows))
    blurred = F.conv2d(blurred, weights[:, None, None, :], groups=len(rows)).transpose(0, 1)
    result = images.clone()
    result[rows] += amount * (blurred - result[rows])
    return result


def _recompress(images: Tensor, generator: torch.Generator) -> Tensor:
    """Send some images through another resolution and kernel, and some through JPEG."""
    side = images.shape[-1]
    for row in chosen(len(images), 0.3, generator):
        small = integer(round(0.4 * side), side, generator)
        down, up = (_KERNELS[integer(0, len(_KERNELS) - 1, generator)] for _ in range(2))
        picture = to_pil(images[row, 0]).resize((small, small), down).resize((side, side), up)
        images[row, 0] = from_pil(picture)
    for row in chosen(len(images), 0.3, generator):
        buffer = io.BytesIO()
        to_pil(images[row, 0]).save(buffer, "JPEG", quality=integer(25, 95, generator))
        images[row, 0] = from_pil(Image.open(buffer))
    return images
