"""training.augment.augmentation: what a training image may become, and what it may not."""

import pytest
import torch
from torch import Tensor

from training.augment import augmentation
from training.augment.augmentation import augment
from training.augment.marks import erase_borders, mark_corners
from training.config import Augmentation

SIDE = 64

both = pytest.mark.parametrize("mode", ["basic", "full"])
every = pytest.mark.parametrize("mode", ["basic", "full", "hospital"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_flat(count: int, grey: int, side: int = SIDE) -> Tensor:
    return torch.full((count, 1, side, side), grey, dtype=torch.uint8)


def make_marked(count: int, rows: slice, columns: slice) -> Tensor:
    """Return grey images, uint8 [count, 1, 64, 64], with one white mark."""
    images = make_flat(count, 60)
    images[:, :, rows, columns] = 255
    return images


def make_noise(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 1, SIDE, SIDE), generator=generator(1)).to(torch.uint8)


def make_smooth(count: int, side: int) -> Tensor:
    """Draw a slope from grey 60 to grey 180."""
    line = torch.linspace(30, 90, side)
    return (line[:, None] + line).expand(count, 1, side, side).clone()


def locate(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (row, column) of the 20 lightest pixels of each image's middle.

    What is erased or burned in at the borders does not reach it.
    """
    middle = images[:, 0, 16:48, 16:48]
    lightest = middle.flatten(1).topk(20).indices
    return 16 + (lightest // 32).float().mean(1), 16 + (lightest % 32).float().mean(1)


def leaning(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how many grey levels the (bottom, right) half of each image is lighter."""
    middle = images[:, 0, 10:54, 10:54]
    below = middle[:, 22:].mean((1, 2)) - middle[:, :22].mean((1, 2))
    right = middle[:, :, 22:].mean((1, 2)) - middle[:, :, :22].mean((1, 2))
    return below, right


# ---------------------------------------------------------------- never mirrored


@every
def test_what_is_light_on_one_side_stays_so(mode: Augmentation) -> None:
    whole, first, second = slice(0, 64), slice(0, 32), slice(32, 64)
    _, left = leaning(augment(make_marked(1000, whole, first), generator(), mode))
    _, right = leaning(augment(make_marked(1000, whole, second), generator(), mode))
    top, _ = leaning(augment(make_marked(1000, first, whole), generator(), mode))
    bottom, _ = leaning(augment(make_marked(1000, second, whole), generator(), mode))
    assert max(left.max(), top.max()) < -10
    assert min(right.min(), bottom.min()) > 10


@pytest.mark.parametrize("columns", [slice(12, 22), slice(42, 52)], ids=["left", "right"])
def test_a_mark_stays_on_its_side(columns: slice) -> None:
    images = augment(make_marked(1000, slice(27, 37), columns), generator(), "basic")
    at = (images.flatten(1).topk(20).indices % SIDE).float().mean(1)
    on_the_left = at < SIDE / 2
    assert on_the_left.all() if columns.start < SIDE / 2 else not on_the_left.any()


@both
def test_the_middle_moves_a_little_in_every_direction(mode: Augmentation) -> None:
    changed = augment(make_marked(1000, slice(29, 35), slice(29, 35)), generator(), mode)
    for at in locate(changed):
        shift = (at - (SIDE - 1) / 2) / SIDE  # turning and scaling leave the middle in place
        assert 0.03 < shift.max() < 0.11
        assert -0.11 < shift.min() < -0.03


# ---------------------------------------------------------------- any image


@every
@pytest.mark.parametrize("side", [64, 224])
def test_values_stay_grey_levels(mode: Augmentation, side: int) -> None:
    extremes = torch.cat([make_flat(30, 0, side), make_flat(30, 255, side)])
    changed = augment(extremes, generator(), mode)
    assert changed.isfinite().all()
    assert (changed.min(), changed.max()) == (0, 255)


@every
@pytest.mark.parametrize("side", [64, 224])
def test_images_come_back_as_float32_of_the_same_shape(mode: Augmentation, side: int) -> None:
    changed = augment(make_flat(20, 90, side), generator(), mode)
    assert (changed.shape, changed.dtype) == ((20, 1, side, side), torch.float32)


@every
def test_a_single_image_is_changed_too(mode: Augmentation) -> None:
    image = make_noise(1)
    for seed in range(20):
        changed = augment(image, generator(seed), mode)
        assert (changed - image.float()).abs().mean() > 10


@every
def test_the_same_generator_seed_changes_the_same_way(mode: Augmentation) -> None:
    images = make_noise(40)
    once, twice = (augment(images, generator(5), mode) for _ in range(2))
    assert torch.equal(once, twice)


@every
def test_another_generator_seed_changes_another_way(mode: Augmentation) -> None:
    images = make_noise(4)
    ours, theirs = (augment(images, generator(seed), mode) for seed in (5, 6))
    assert ((ours - theirs).abs().mean((1, 2, 3)) > 1).all()


@every
def test_the_global_random_state_changes_nothing(mode: Augmentation) -> None:
    images = make_noise(40)
    torch.manual_seed(1)
    first = augment(images, generator(), mode)
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, generator(), mode))


@every
def test_each_image_of_a_batch_is_changed_in_its_own_way(mode: Augmentation) -> None:
    alike = make_noise(1).repeat(8, 1, 1, 1)
    changed = augment(alike, generator(), mode)
    differences = (changed[:, None] - changed[None]).abs().mean((2, 3, 4))
    assert (differences + 100 * torch.eye(8)).min() > 10


@every
def test_every_image_differs_from_its_original_which_is_left_alone(mode: Augmentation) -> None:
    images = make_marked(100, slice(12, 22), slice(12, 22))
    original = images.clone()
    changed = augment(images, generator(), mode)
    assert ((changed - original.float()).abs().mean((1, 2, 3)) > 1).all()
    assert torch.equal(images, original)


@every
def test_exposure_varies_both_ways(mode: Augmentation) -> None:
    levels = augment(make_flat(200, 128), generator(), mode)
    middles = levels[:, 0, 28:36, 28:36].mean((1, 2))
    assert middles.min() < 100
    assert middles.max() > 156


def test_full_is_the_default_and_more_than_basic() -> None:
    images = make_noise(8)
    assert torch.equal(augment(images, generator()), augment(images, generator(), "full"))
    assert not torch.equal(augment(images, generator()), augment(images, generator(), "basic"))


# ---------------------------------------------------------------- letters


@pytest.mark.parametrize("side", [64, 224])
def test_letters_are_burned_into_some_images_near_a_corner(side: int) -> None:
    images = make_flat(400, 20, side)
    written = mark_corners(images, generator()) != images
    touched = written.flatten(1).any(1)
    assert 0.1 < touched.float().mean() < 0.2
    rows = written[:, 0].any(2).nonzero()[:, 1] / side
    assert ((rows < 0.25) | (rows > 0.78)).all()  # above or below the lungs
    middle = written[:, 0, side // 4 : side * 3 // 4]
    assert not middle.any()
    assert rows.min() < 0.1
    assert rows.max() > 0.9


def test_letters_are_lighter_than_the_image_and_its_original_is_left_alone() -> None:
    images = make_flat(100, 20)
    marked = mark_corners(images, generator())
    assert (images == 20).all()
    assert marked.min() == 20
    assert marked.max() > 140


# ---------------------------------------------------------------- erased borders


@pytest.mark.parametrize("side", [64, 224])
def test_some_images_lose_a_strip_at_one_border(side: int) -> None:
    images = make_flat(400, 100, side).float()
    images[:, :, side // 4 : side // 2] += 20  # so that the mean is another grey
    erased = erase_borders(images.clone(), generator()) != images
    share = erased.flatten(1).any(1).float().mean()
    assert 0.22 < share < 0.38
    depth = round(0.14 * side)
    assert not erased[:, 0, depth : side - depth, depth : side - depth].any()
    for strip in (erased[:, 0, 0], erased[:, 0, -1], erased[:, 0, :, 0], erased[:, 0, :, -1]):
        assert strip.float().mean(0).min() > 0  # any of the four, over all its length


def test_an_erased_strip_has_one_grey_level() -> None:
    images = make_noise(100).float()
    changed = erase_borders(images.clone(), generator())
    for image, before in zip(changed, images, strict=True):
        greys = image[image != before].unique()
        assert len(greys) <= 1
        assert all(grey in {0, 255, int(before.mean())} for grey in greys.tolist())


# ---------------------------------------------------------------- sharpness and compression


@pytest.mark.parametrize("side", [64, 224])
def test_a_smooth_image_survives_resampling_and_jpeg(side: int) -> None:
    images = make_smooth(200, side)
    changed = augmentation._recompress(images.clone(), generator())
    difference = (changed - images).abs()
    assert difference.mean((1, 2, 3)).max() < 3
    untouched = (difference.flatten(1).max(1).values == 0).float().mean()
    assert 0.4 < untouched < 0.6  # 0.7 escape the one, 0.7 of those the other


def test_a_fine_pattern_does_not_always_survive_resampling_and_jpeg() -> None:
    images = make_noise(200).float()
    changed = augmentation._recompress(images.clone(), generator())
    assert (changed - images).abs().mean((1, 2, 3)).max() > 20


@pytest.mark.parametrize("side", [64, 224])
def test_a_smooth_image_survives_blurring_and_sharpening(side: int) -> None:
    images = make_smooth(200, side)
    changed = augmentation._blur(images, generator())
    assert (changed - images).abs().max() < 2
    assert torch.equal(images, make_smooth(200, side))


def test_edges_become_softer_or_sharper() -> None:
    images = make_marked(200, slice(20, 44), slice(20, 44)).float()
    changed = augmentation._blur(images, generator())
    highest = changed.flatten(1).max(1).values
    assert (highest > 256).any()  # sharpened edges overshoot
    edge = changed[:, 0, 32, 20]
    assert (edge < 250).any()
    assert 0.4 < (edge == 255).float().mean() < 0.8


# ---------------------------------------------------------------- the share that is changed


@every
def test_a_share_of_the_images_is_changed_and_the_rest_is_not(mode: Augmentation) -> None:
    images = make_noise(400)
    changed = augment(images, generator(), mode, share=0.25) != images
    assert changed.flatten(1).any(1).float().mean() == pytest.approx(0.25, abs=0.06)
    touched = changed.flatten(1).float().mean(1)
    assert touched[touched > 0].min() > 0.5  # those that are changed are changed all over


def test_no_share_changes_nothing_and_leaves_the_given_images_alone() -> None:
    images = make_noise(20)
    kept = images.clone()
    assert torch.equal(augment(images, generator(), "full", share=0), images.float())
    augment(images, generator(), "full", share=0.5)
    assert torch.equal(images, kept)


def test_a_whole_share_is_the_same_as_none_given() -> None:
    images = make_noise(8)
    assert torch.equal(
        augment(images, generator(), "full", share=1), augment(images, generator(), "full")
    )
