"""Draws from a generator, on its device."""

import numpy as np
import torch
from torch import Tensor


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw float32 [count] from low to high."""
    return torch.empty(count, device=generator.device).uniform_(low, high, generator=generator)


def chosen(count: int, share: float, generator: torch.Generator) -> list[int]:
    """Choose each of `count` images with a probability of `share`."""
    return torch.nonzero(uniform(count, 0, 1, generator) < share).flatten().tolist()


def integer(low: int, high: int, generator: torch.Generator) -> int:
    """Draw from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator, device=generator.device))


def fork(generator: torch.Generator) -> np.random.Generator:
    """Return a generator for many single draws, which NumPy makes faster; one draw seeds it."""
    return np.random.default_rng(integer(0, 2**62, generator))
