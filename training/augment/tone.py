"""Tone curves: what a device's response and a technician's window do to the same chest."""

from typing import Final

import torch
from torch import Tensor

from training.augment.chance import chosen, uniform

_CURVED: Final = 0.5
_WINDOWED: Final = 0.25
_STEEPEST: Final = 1.6  # the exponent of a factor: up to 5 times the mildest curve
_MILDEST_SLOPE: Final = 4.0  # of a logistic curve over grey levels from 0 to 1
_GAMMA: Final = 0.7
_CLIPPED: Final = 0.25


def curve_tones(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images, half of them behind a tone curve, a quarter behind a window.

    A curve is blended from the image and a logistic curve (more contrast in the middle) or a
    power (brighter or darker shadows). A window cuts up to a quarter of the grey levels off at
    either end and spreads the rest.

    Parameters
    ----------
    images : float32 [N, 1, H, W]; they are taken for grey levels from 0 to 255
    """
    result = images.clone()
    if rows := chosen(len(images), _CURVED, generator):
        result[rows] = _curve(result[rows], generator)
    if rows := chosen(len(images), _WINDOWED, generator):
        result[rows] = _window(result[rows], generator)
    return result


def _curve(images: Tensor, generator: torch.Generator) -> Tensor:
    def draw(low: float, high: float) -> Tensor:
        return uniform(len(images), low, high, generator).view(-1, 1, 1, 1)

    level = images.clamp(0, 255) / 255
    blend, middle = draw(-1, 1), draw(0.3, 0.7)
    slope = _MILDEST_SLOPE * draw(0, _STEEPEST).exp()
    power = draw(-_GAMMA, _GAMMA).exp()
    low, high = torch.sigmoid(-middle * slope), torch.sigmoid((1 - middle) * slope)
    curved = (torch.sigmoid((level - middle) * slope) - low) / (high - low)
    curved = torch.where(blend > 0, curved, level.pow(power))
    return 255 * level.lerp(curved, blend.abs())


def _window(images: Tensor, generator: torch.Generator) -> Tensor:
    low = uniform(len(images), 0, _CLIPPED, generator).view(-1, 1, 1, 1)
    high = uniform(len(images), 1 - _CLIPPED, 1, generator).view(-1, 1, 1, 1)
    return 255 * ((images / 255 - low) / (high - low)).clamp(0, 1)
