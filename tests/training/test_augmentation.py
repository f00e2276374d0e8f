"""training.augmentation: what a training image may become, and what it may not."""

import pytest
import torch
from torch import Tensor

from training.augmentation import augment

SIDE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_marked(count: int, rows: slice, columns: slice) -> Tensor:
    """Return grey images, uint8 [count, 1, 64, 64], with one white mark."""
    images = torch.full((count, 1, SIDE, SIDE), 60, dtype=torch.uint8)
    images[:, :, rows, columns] = 255
    return images


def make_noise(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 1, SIDE, SIDE), generator=generator(1)).to(torch.uint8)


def locate(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (row, column) of the 20 lightest pixels of each image."""
    lightest = images.flatten(1).topk(20).indices
    return (lightest // SIDE).float().mean(1), (lightest % SIDE).float().mean(1)


@pytest.mark.parametrize("columns", [slice(12, 22), slice(42, 52)], ids=["left", "right"])
def test_a_mark_stays_on_its_side(columns: slice) -> None:
    _, at = locate(augment(make_marked(1000, slice(27, 37), columns), generator()))
    on_the_left = at < SIDE / 2
    assert on_the_left.all() if columns.start < SIDE / 2 else not on_the_left.any()


@pytest.mark.parametrize("rows", [slice(12, 22), slice(42, 52)], ids=["top", "bottom"])
def test_a_mark_stays_at_its_height(rows: slice) -> None:
    at, _ = locate(augment(make_marked(1000, rows, slice(27, 37)), generator()))
    on_top = at < SIDE / 2
    assert on_top.all() if rows.start < SIDE / 2 else not on_top.any()


def test_the_middle_moves_a_little_in_every_direction() -> None:
    changed = augment(make_marked(1000, slice(30, 34), slice(30, 34)), generator())
    for at in locate(changed):
        shift = (at - (SIDE - 1) / 2) / SIDE  # turning and scaling leave the middle in place
        assert 0.03 < shift.max() < 0.09
        assert -0.09 < shift.min() < -0.03


def test_values_stay_grey_levels() -> None:
    extremes = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    changed = augment(extremes.repeat(50, 1, SIDE, SIDE), generator())
    assert changed.isfinite().all()
    assert (changed.min(), changed.max()) == (0, 255)


def test_images_come_back_as_float32_of_the_same_shape() -> None:
    changed = augment(make_noise(3), generator())
    assert (changed.shape, changed.dtype) == ((3, 1, SIDE, SIDE), torch.float32)


def test_the_same_generator_seed_changes_the_same_way() -> None:
    images = make_noise(4)
    assert torch.equal(augment(images, generator(5)), augment(images, generator(5)))


def test_another_generator_seed_changes_another_way() -> None:
    images = make_noise(4)
    assert not torch.equal(augment(images, generator(5)), augment(images, generator(6)))


def test_the_global_random_state_changes_nothing() -> None:
    images = make_noise(4)
    torch.manual_seed(1)
    first = augment(images, generator())
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, generator()))


def test_each_image_of_a_batch_is_changed_in_its_own_way() -> None:
    alike = make_noise(1).repeat(8, 1, 1, 1)
    changed = augment(alike, generator())
    differences = (changed[:, None] - changed[None]).abs().mean((2, 3, 4))
    assert (differences + 100 * torch.eye(8)).min() > 10


def test_every_image_differs_from_its_original() -> None:
    images = make_marked(100, slice(12, 22), slice(12, 22))
    original = images.clone()
    changed = augment(images, generator())
    assert ((changed - original.float()).abs().mean((1, 2, 3)) > 1).all()
    assert torch.equal(images, original)  # left alone


def test_exposure_varies_both_ways() -> None:
    levels = augment(torch.full((200, 1, SIDE, SIDE), 128, dtype=torch.uint8), generator())
    middles = levels[:, 0, 28:36, 28:36].mean((1, 2))
    assert middles.min() < 100
    assert middles.max() > 156
