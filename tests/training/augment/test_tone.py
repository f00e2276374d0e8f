"""training.augment.tone: curves and windows keep the order of grey levels, and bend it enough."""

import pytest
import torch
from torch import Tensor

from training.augment.tone import curve_tones


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_ramps(count: int) -> Tensor:
    """Every grey level from 0 to 255, in order."""
    return torch.arange(256.0).view(1, 1, 16, 16).repeat(count, 1, 1, 1)


def test_grey_levels_keep_their_order_and_bounds() -> None:
    curves = curve_tones(make_ramps(500), generator()).flatten(1)
    assert curves.isfinite().all()
    assert curves.min() >= -1e-3
    assert curves.max() <= 255.001
    assert (curves.diff(dim=1) >= -1e-3).all()


def test_black_stays_black_and_white_white() -> None:
    curves = curve_tones(make_ramps(500), generator()).flatten(1)
    assert curves[:, 0].abs().max() < 0.01
    assert (curves[:, -1] - 255).abs().max() < 0.01


def test_five_of_eight_images_are_changed() -> None:
    ramps = make_ramps(2000)
    changed = (curve_tones(ramps, generator()) != ramps).flatten(1).any(1)
    assert changed.float().mean() == pytest.approx(1 - 0.5 * 0.75, abs=0.04)


def test_the_middle_becomes_much_darker_or_brighter_steeper_or_flatter() -> None:
    curves = curve_tones(make_ramps(2000), generator()).flatten(1)
    middle = curves[:, 128]
    assert middle.min() < 60
    assert middle.max() > 195
    slope = (curves[:, 136] - curves[:, 120]) / 16
    assert slope.min() < 0.5
    assert slope.max() > 2.5


def test_the_given_images_are_left_alone_and_a_seed_repeats() -> None:
    ramps = make_ramps(50)
    once, twice = (curve_tones(ramps, generator(4)) for _ in range(2))
    assert torch.equal(ramps, make_ramps(50))
    assert torch.equal(once, twice)
    assert not torch.equal(once, curve_tones(ramps, generator(5)))
