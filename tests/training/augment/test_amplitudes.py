"""training.augment.amplitudes: another image's tone, one's own shapes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from training.augment.amplitudes import mix_amplitudes

SIDE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_pair() -> Tensor:
    """A dark image with a bright square, and a bright one with fine noise."""
    dark = torch.full((1, 1, SIDE, SIDE), 60.0)
    dark[..., 20:44, 20:44] = 110
    noise = 10 * torch.randn(1, 1, SIDE, SIDE, generator=generator(1))
    return torch.cat([dark, 150 + noise])


def test_no_share_changes_nothing_and_draws_nothing() -> None:
    images, source = make_pair(), generator()
    before = source.get_state()
    assert mix_amplitudes(images, source, 0) is images
    assert torch.equal(source.get_state(), before)


def test_some_images_take_the_brightness_of_another_and_keep_their_shape() -> None:
    images = make_pair()
    levels, squares = [], []
    for seed in range(60):
        changed = mix_amplitudes(images, generator(seed), 1)
        levels.append(float(changed[0].mean()))
        square = changed[0, 0, 24:40, 24:40].mean() - changed[0, 0, :12].mean()
        squares.append(float(square))
    own, other = float(images[0].mean()), float(images[1].mean())
    assert min(levels) > own - 1
    assert max(levels) < other + 1
    assert max(levels) - min(levels) > 0.7 * (other - own)  # by a factor of 0 to 1
    assert np.median(squares) > 20  # bright where it was, unless all was the other's


def test_an_image_mixed_with_its_like_stays_as_it_is() -> None:
    images = make_pair()[:1].repeat(4, 1, 1, 1)
    changed = mix_amplitudes(images, generator(), 1)
    torch.testing.assert_close(changed, images, rtol=0, atol=1e-2)


def test_a_share_of_the_images_is_changed_and_the_given_ones_are_left_alone() -> None:
    images = torch.rand(400, 1, 32, 32, generator=generator(2)) * 255
    kept = images.clone()
    changed = mix_amplitudes(images, generator(), 0.25)
    assert torch.equal(images, kept)
    share = (changed != images).flatten(1).any(1).float().mean()
    assert float(share) == pytest.approx(0.25, abs=0.06)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_the_same_generator_mixes_the_same_way() -> None:
    images = torch.rand(8, 1, 32, 32, generator=generator(2)) * 255
    once, twice = (mix_amplitudes(images, generator(5), 0.5) for _ in range(2))
    assert torch.equal(once, twice)
    assert not torch.equal(once, mix_amplitudes(images, generator(6), 0.5))
