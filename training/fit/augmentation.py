"""Random changes of training images, whole batches at a time.

What may vary between two radiographs of the same chest: position, size, the two axes' scale,
exposure, contrast, sharpness, noise, the resampling and compression behind it, and what is
burned in at its edges. Never mirrored: the heart has a side.

Every random number comes from the generator passed in, so a seed repeats a run; images are
changed on its device, which must be theirs. Lengths are shares of the image's side, so small
images change as large ones do.
"""

import io
import math
from functools import cache
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from training.config import Augmentation

_KERNELS: Final = (
    Image.Resampling.NEAREST,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
_WORDS: Final = ("R", "L", "PA", "AP", "PORTABLE", "ERECT", "SUPINE", "10:42", "CXR", "DX")
_BLUR_TAPS: Final = 7
_CLOSER: Final = (0.75, 1.15)
"""How tall the lungs stand in the image must not be taken for a sign: hence bounds so wide."""


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
        and erases or burns in text at the borders
    share : of the images that are changed; the others stay as they are, so that the network
        and its batch statistics know unchanged images too

    Returns
    -------
    float32 [N, 1, H, W], from 0 to 255
    """
    rows = list(range(len(images))) if share >= 1 else _chosen(len(images), share, generator)
    result = images.float()
    if rows:
        change = {"basic": _change_basically, "closer": _change_closer, "full": _change_fully}
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
    warped = _warp(_mark(images, generator).float(), generator, 12, _CLOSER, 0.14)
    changed = _blur(_expose(warped, generator, 0.45, 0.3), generator)
    changed = _grain(changed, generator, 8).clamp_(0, 255)
    return _erase(_recompress(changed, generator), generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count, device=generator.device).uniform_(low, high, generator=generator)


def _chosen(count: int, share: float, generator: torch.Generator) -> list[int]:
    """Choose each of `count` images with a probability of `share`."""
    return torch.nonzero(_uniform(count, 0, 1, generator) < share).flatten().tolist()


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """Draw from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator, device=generator.device))


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
    angle = _uniform(count, -degrees, degrees, generator) * (math.pi / 180)
    scale_x = _uniform(count, *field, generator)
    scale_y = _uniform(count, *field, generator)
    theta = torch.zeros(count, 2, 3, device=images.device)
    theta[:, 0, 0] = angle.cos() * scale_x
    theta[:, 0, 1] = -angle.sin() * scale_y
    theta[:, 1, 0] = angle.sin() * scale_x
    theta[:, 1, 1] = angle.cos() * scale_y
    theta[:, :, 2] = _uniform(2 * count, -shift, shift, generator).view(count, 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _expose(images: Tensor, generator: torch.Generator, gamma: float, contrast: float) -> Tensor:
    """Vary gamma from exp(-gamma) to exp(gamma), contrast and brightness by `contrast`."""
    shape = (len(images), 1, 1, 1)
    power = _uniform(len(images), -gamma, gamma, generator).exp().view(shape)
    factor = _uniform(len(images), 1 - contrast, 1 + contrast, generator).view(shape)
    offset = _uniform(len(images), -contrast, contrast, generator).view(shape) * 128
    images = 255 * (images.clamp(0, 255) / 255).pow(power)
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean + offset


def _grain(images: Tensor, generator: torch.Generator, levels: float) -> Tensor:
    """Add noise of up to `levels` grey levels' deviation."""
    deviation = _uniform(len(images), 0, levels, generator).view(-1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    return images + deviation * noise


def _blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change the sharpness of half the images, two of three blurred, one sharpened.

    By a Gaussian of up to 0.7 % of the side.
    """
    rows = _chosen(len(images), 0.5, generator)
    if not rows:
        return images
    side = images.shape[-1]
    sigma = _uniform(len(rows), 0.1, 0.007 * side, generator).view(-1, 1)
    amount = _uniform(len(rows), -0.5, 1, generator).view(-1, 1, 1, 1)
    taps = torch.arange(_BLUR_TAPS, device=images.device) - _BLUR_TAPS // 2
    weights = (-0.5 * (taps / sigma) ** 2).exp()
    weights = weights / weights.sum(1, keepdim=True)
    chosen = images[rows].transpose(0, 1)  # each image a channel: one depthwise convolution
    padded = F.pad(chosen, [_BLUR_TAPS // 2] * 4, mode="replicate")
    blurred = F.conv2d(padded, weights[:, None, :, None], groups=len(rows))
    blurred = F.conv2d(blurred, weights[:, None, None, :], groups=len(rows)).transpose(0, 1)
    result = images.clone()
    result[rows] += amount * (blurred - result[rows])
    return result


def _recompress(images: Tensor, generator: torch.Generator) -> Tensor:
    """Send some images through another resolution and kernel, and some through JPEG."""
    side = images.shape[-1]
    for row in _chosen(len(images), 0.3, generator):
        small = _integer(round(0.4 * side), side, generator)
        down, up = (_KERNELS[_integer(0, len(_KERNELS) - 1, generator)] for _ in range(2))
        picture = _to_pil(images[row, 0]).resize((small, small), down).resize((side, side), up)
        images[row, 0] = _from_pil(picture)
    for row in _chosen(len(images), 0.3, generator):
        buffer = io.BytesIO()
        _to_pil(images[row, 0]).save(buffer, "JPEG", quality=_integer(25, 95, generator))
        images[row, 0] = _from_pil(Image.open(buffer))
    return images


def _mark(images: Tensor, generator: torch.Generator) -> Tensor:
    """Burn letters into some images, near a corner: they are no sign of any disease."""
    images = images.clone()
    side = images.shape[-1]
    for row in _chosen(len(images), 0.15, generator):
        picture = _to_pil(images[row, 0])
        word = _WORDS[_integer(0, len(_WORDS) - 1, generator)]
        left = _integer(0, 1, generator) * 0.7 + 0.2 * float(_uniform(1, 0, 1, generator))
        top = _integer(0, 1, generator) * 0.8 + 0.1 * float(_uniform(1, 0, 1, generator))
        font = _font(max(6, round(side * _integer(3, 9, generator) / 100)))
        grey = _integer(150, 255, generator)
        ImageDraw.Draw(picture).text((left * side, top * side), word, fill=grey, font=font)
        images[row, 0] = _from_pil(picture)
    return images


def _erase(images: Tensor, generator: torch.Generator) -> Tensor:
    """Overwrite a border strip, or a corner where text stands, with one grey level."""
    side = images.shape[-1]
    for row in _chosen(len(images), 0.3, generator):
        depth = _integer(1, round(0.14 * side), generator)
        length = side if _integer(0, 1, generator) else _integer(depth, side // 2, generator)
        grey = (0, 0, 255, int(images[row].mean()))[_integer(0, 3, generator)]
        turns = _integer(0, 3, generator)
        turned = images[row, 0].rot90(turns)
        turned[:depth, :length] = grey
        images[row, 0] = turned.rot90(-turns)
    return images


@cache
def _font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size_px)


def _to_pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.round().to(torch.uint8).cpu().numpy())


def _from_pil(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).float()
