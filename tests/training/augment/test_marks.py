"""training.augment.marks: text, arrows, wedges, borders: where they are drawn, and as often."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from training.augment import marks
from training.augment.augmentation import augment
from training.augment.marks import add_borders, annotate, draw_borders

SIDE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_flat(count: int, grey: float = 100.0, side: int = SIDE) -> Tensor:
    return torch.full((count, 1, side, side), grey)


# ---------------------------------------------------------------- borders and wedges


@pytest.mark.parametrize("place", [0, 1, 2, 3], ids=["top", "left", "bottom", "right"])
def test_a_border_is_a_strip_of_its_depth_along_its_side(place: int) -> None:
    depths = [0.0] * 4
    depths[place] = 0.125
    expected = np.zeros((SIDE, SIDE), bool)
    strips = [np.s_[:8], np.s_[:, :8], np.s_[-8:], np.s_[:, -8:]]
    expected[strips[place]] = True
    assert (draw_borders(SIDE, depths, 0) == expected).all()


def test_a_tilted_border_is_a_wedge_deeper_at_one_end() -> None:
    covered = draw_borders(SIDE, [0.1, 0, 0, 0], 0.1)
    deep = covered.sum(0)  # of each column
    assert (deep[0], deep[31], deep[-1]) == (3, 6, 10)  # 0.05, 0.1 and 0.15 of the side
    assert (np.diff(deep) >= 0).all()


def test_a_shallow_tilted_border_is_a_triangle_in_one_corner() -> None:
    covered = draw_borders(SIDE, [0.03, 0, 0, 0], 0.15)
    assert covered[0, -1]
    assert not covered[:, : SIDE // 4].any()
    assert 0 < covered.sum() < 0.05 * covered.size


def test_borders_of_one_angle_go_around_as_those_of_a_turned_film() -> None:
    covered = draw_borders(SIDE, [0.05] * 4, 0.1)
    assert (covered == np.rot90(covered)).all()
    assert not (covered == covered[:, ::-1]).all()
    assert not covered[16:48, 16:48].any()


def test_a_wedge_is_black_or_white_where_it_is_drawn_and_nothing_else_changes() -> None:
    images = make_flat(300)
    changed = add_borders(images, generator())
    touched = changed != images
    share = touched.flatten(1).any(1).float().mean()
    assert 0.2 < share < 0.36  # 0.3, but for those that got none of four sides
    levels = [image[image != 100].unique().tolist() for image in changed]
    assert all(len(own) <= 1 for own in levels)
    greys = [own[0] for own in levels if own]
    dark = sum(grey <= 20 for grey in greys)
    assert dark + sum(grey >= 230 for grey in greys) == len(greys)
    assert 0.5 < dark / len(greys) < 0.8
    assert not touched[:, 0, 16:48, 16:48].any()  # 0.12 and half the tilt
    assert all(edge.any() for edge in (touched[..., 0, :], touched[..., -1, :]))
    assert all(edge.any() for edge in (touched[..., :, 0], touched[..., :, -1]))


# ---------------------------------------------------------------- text and arrows


@pytest.mark.parametrize("side", [64, 160, 224])
def test_text_and_arrows_are_on_a_share_of_the_images(side: int) -> None:
    images = make_flat(300, side=side)
    changed = annotate(images, generator())
    touched = (changed != images).flatten(1)
    assert touched.any(1).float().mean() == pytest.approx(1 - 0.65 * 0.9, abs=0.07)
    covered = touched.float().mean(1)
    assert covered.max() < 0.5
    assert covered[covered > 0].median() > 0.005


def test_text_is_mostly_light_and_sometimes_dark() -> None:
    images = make_flat(400)
    changed = annotate(images, generator()).flatten(1)
    lighter, darker = changed.amax(1) > 115, changed.amin(1) < 85
    assert not (lighter & darker).any()
    assert 0.05 < darker.sum() / (lighter | darker).sum() < 0.27


def test_text_stands_along_every_side() -> None:
    touched = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    draws = np.random.default_rng(0)
    for _ in range(200):
        layer = marks._write_lines(Image.new("L", (SIDE, SIDE)), draws)
        touched |= torch.from_numpy(np.array(layer)) > 0
    quarter = SIDE // 4
    assert touched[:quarter].float().mean() > 0.8
    assert touched[-quarter:].float().mean() > 0.5
    assert touched[:, :quarter].float().mean() > 0.8
    assert touched[:, -quarter:].float().mean() > 0.8


def test_lines_are_of_words_dates_times_and_numbers_and_of_any_length() -> None:
    draws = np.random.default_rng(0)
    lines = [marks._compose(draws) for _ in range(500)]
    assert min(map(len, lines)) <= 2
    assert max(map(len, lines)) >= 50
    whole = " ".join(lines)
    for kind in ("PORTABLE", "BIPEDESTACIÓN", "/2012", "-12-", ":", "->"):
        assert kind in whole


def test_an_arrow_points_anywhere() -> None:
    touched = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    draws = np.random.default_rng(0)
    for _ in range(400):
        layer = Image.new("L", (SIDE, SIDE))
        marks._draw_arrow(layer, draws)
        own = torch.from_numpy(np.array(layer)) > 0
        assert 3 < own.sum() < 0.1 * own.numel()
        touched |= own
    assert touched[8:-8, 8:-8].float().mean() > 0.7


@pytest.mark.parametrize("change", [add_borders, annotate])
def test_marks_leave_the_given_images_alone_and_a_seed_repeats_them(
    change: Callable[[Tensor, torch.Generator], Tensor],
) -> None:
    images = make_flat(60)
    once, twice = (change(images, generator(3)) for _ in range(2))
    assert (images == 100).all()
    assert torch.equal(once, twice)
    assert not torch.equal(once, change(images, generator(4)))


# ---------------------------------------------------------------- all of it


def test_what_lies_around_an_image_is_black_white_or_grey() -> None:
    images = torch.full((600, 1, SIDE, SIDE), 100, dtype=torch.uint8)
    corners = augment(images, generator(), "hospital")[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners < 30).any(1).float().mean() > 0.25
    assert (corners > 225).any(1).float().mean() > 0.1


def test_hospital_changes_more_than_full() -> None:
    ramp = torch.linspace(0, 255, SIDE).repeat(SIDE, 1).to(torch.uint8)
    images = ramp.repeat(400, 1, 1, 1)
    full, hospital = (
        (augment(images, generator(), mode) - images.float()).abs().mean((1, 2, 3)).mean()
        for mode in ("full", "hospital")
    )
    assert hospital > 1.1 * full
