"""Which images an epoch shows, and in what order: groups of label and source evened by a power."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from training.config import Config
from training.data.manifest import Sample


class Sampler:
    """Draws the images of an epoch, group by group.

    A group of n images has a share of ``n ** power`` of an epoch. Within a group every image is
    shown before one is shown again; across epochs chance decides. With a power of 1 and as many
    images as there are, an epoch shows every image once.

    Parameters
    ----------
    groups : of each image, what it is grouped by
    power : from 0, every group as often, to 1, every image as often
    count : images an epoch
    """

    def __init__(self, groups: Sequence[Hashable], power: float, count: int) -> None:
        members: dict[Hashable, list[int]] = {}
        for row, group in enumerate(groups):
            members.setdefault(group, []).append(row)
        self._members = [torch.tensor(rows) for rows in members.values()]
        sizes = np.array([len(rows) for rows in self._members])
        self._plain = power == 1 and count == len(groups)
        self.count = count
        self.counts = dict(zip(members, _share_out(sizes**power, count), strict=True))
        """Images an epoch shows of each group."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the rows of an epoch's images in order, int64 [count], on the CPU."""
        if self._plain:
            return _shuffle(self.count, generator)
        rows = torch.cat(
            [
                own[_cycle(len(own), times, generator)]
                for own, times in zip(self._members, self.counts.values(), strict=True)
            ]
        )
        return rows[_shuffle(len(rows), generator)]


def group_samples(samples: Sequence[Sample], config: Config) -> Sampler:
    """Return the sampler of training images, grouped by label (as it is known) and source."""
    groups = [(sample.named, sample.source) for sample in samples]
    return Sampler(groups, config.sampling_power, config.epoch_images or len(samples))


def _share_out(weights: np.ndarray[tuple[int], np.dtype[np.float64]], count: int) -> list[int]:
    """Divide `count` in proportion to weights: whole numbers, the largest remainders up."""
    exact = count * weights / weights.sum()
    shares = np.floor(exact).astype(int)
    lacking = count - shares.sum()
    shares[np.argsort(shares - exact, kind="stable")[:lacking]] += 1
    return [int(share) for share in shares]


def _cycle(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` of `size` rows, in rounds that show each once."""
    rounds = [_shuffle(size, generator) for _ in range(-(-count // size))]
    return torch.cat([*rounds, torch.empty(0, dtype=torch.int64)])[:count]


def _shuffle(size: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(size, generator=generator, device=generator.device).cpu()
