"""Which images an epoch shows, and in what order: groups of label and source evened by a power."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.model.labels import LABEL_IDS, LabelId
from training.config import Config
from training.data.manifest import Sample


class Group(NamedTuple):
    """Images of one kind from one source: `label` is its index, None of a set or another finding.

    `named` is what the manifest calls it: a label, a set of them, or other.
    """

    label: int | None
    named: str
    source: str


class Sampler:
    """Draws the images of an epoch, group by group.

    A group of n images has a share of ``n ** power`` of an epoch; then the labels that images have
    alone are evened among each other, by another power of what their groups have together. Within
    a group every image is shown before one is shown again; across epochs chance decides. With
    powers of 1 and as many images as there are, an epoch shows every image once.

    Parameters
    ----------
    groups : of each image its label, None if it has not one alone, and its source
    power : from 0, every group as often, to 1, every image as often
    count : images an epoch
    label_power : from 0, every label as often, to 1, as often as its groups
    """

    def __init__(
        self, groups: Sequence[Group], power: float, count: int, label_power: float = 1
    ) -> None:
        members: dict[Group, list[int]] = {}
        for row, group in enumerate(groups):
            members.setdefault(group, []).append(row)
        self._members = [torch.tensor(rows) for rows in members.values()]
        shares = {group: float(len(rows) ** power) for group, rows in members.items()}
        self._plain = power == label_power == 1 and count == len(groups)
        self.count = count
        evened = np.array(list(_even_labels(shares, label_power).values()))
        self.counts = dict(zip(members, _share_out(evened, count), strict=True))
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
    groups = [Group(sample.label, sample.named, sample.source) for sample in samples]
    count = config.epoch_images or len(samples)
    return Sampler(groups, config.sampling_power, count, config.label_power)


def share_labels(samples: Sequence[Sample], config: Config) -> dict[LabelId, float]:
    """Return the share of each label among the images of an epoch that have one alone.

    What is learned so often is expected so often: the prior probabilities of the answers.
    """
    shown = dict.fromkeys(LABEL_IDS, 0)
    for group, count in group_samples(samples, config).counts.items():
        if group.label is not None:
            shown[LABEL_IDS[group.label]] += count
    whole = sum(shown.values())
    return {label: count / whole for label, count in shown.items()}


def shift_to_priors(samples: Sequence[Sample], config: Config) -> NDArray[np.float32]:
    """Return what logits are shifted by to hold for `config.priors`, float32 [4].

    For even ones the log of how much rarer than the commonest a label was learned, 0 of one that
    was not learned: Menon et al. 2021, "Long-tail learning via logit adjustment", after training.
    """
    if config.priors == "sampled":
        return np.zeros(len(LABEL_IDS), np.float32)
    shares = np.array(list(share_labels(samples, config).values()))
    shift = np.zeros(len(LABEL_IDS), np.float32)
    np.log(shares.max() / shares, out=shift, where=shares > 0, casting="same_kind")
    return shift


def _even_labels(shares: Mapping[Group, float], power: float) -> dict[Group, float]:
    """Even the labels that images have alone; what they have together stays, and all the rest."""
    own: dict[int, float] = {}
    for group, share in shares.items():
        if group.label is not None:
            own[group.label] = own.get(group.label, 0) + share
    whole = sum(share**power for share in own.values()) / (sum(own.values()) or 1)
    factors = {label: share ** (power - 1) / whole for label, share in own.items()}
    return {
        group: share if group.label is None else share * factors[group.label]
        for group, share in shares.items()
    }


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
