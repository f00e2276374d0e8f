"""Mixing of Fourier amplitudes between images: their tone and texture change, their shapes stay.

Xu et al. 2021, "A Fourier-based Framework for Domain Generalization": the amplitudes of low
frequencies hold much of what a hospital's devices do to an image, the phases what it shows.
"""

from typing import Final

import torch
from torch import Tensor

_LOW: Final = 0.1
"""Frequencies that are mixed, as a share of the image's side."""


def mix_amplitudes(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Return images, some with coarse amplitudes mixed with those of another of the batch.

    By a factor that is uniform from 0, its own, to 1, all the other's.

    Parameters
    ----------
    images : float32 [N, 1, H, W], from 0 to 255, on the generator's device
    share : of the images that are changed; 0 draws nothing from the generator
    """
    if not share:
        return images
    device = images.device
    chosen = torch.rand(len(images), generator=generator, device=device) < share
    rows = chosen.nonzero().flatten()
    if not len(rows):
        return images
    others = torch.randint(len(images), (len(rows),), generator=generator, device=device)
    factor = torch.rand((len(rows), 1, 1), generator=generator, device=device)
    height, width = images.shape[2:]
    own, theirs = (torch.fft.rfft2(images[each, 0]) for each in (rows, others))
    amplitudes = own.abs()
    down, across = (max(2, round(_LOW * side)) for side in (height, width))
    for part in (slice(None, down), slice(1 - down, None)):
        low = amplitudes[:, part, :across]
        amplitudes[:, part, :across] = low.lerp(theirs[:, part, :across].abs(), factor)
    mixed = torch.fft.irfft2(torch.polar(amplitudes, own.angle()), s=(height, width))
    result = images.clone()
    result[rows, 0] = mixed.clamp(0, 255)
    return result
