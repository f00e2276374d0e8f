"""training.measure.stress: each fixed change does what its name says, and the same every time."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from app.model.labels import Orientation
from training.measure.stress import (
    CHANGES,
    change,
    draw_lungs,
    hide_all_but_lungs,
    hide_lungs,
    turn,
)

SIDE = 224


def draw(seed: int = 0) -> NDArray[np.uint8]:
    """Two smooth grey pictures, uint8 [2, 1, 224, 224]."""
    small = np.random.default_rng(seed).integers(60, 190, (2, 14, 14)).astype(np.uint8)
    rows = [Image.fromarray(row).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for row in small]
    return np.stack([np.asarray(row)[np.newaxis] for row in rows])


FLAT = np.full((2, 1, SIDE, SIDE), 100, np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_shape_and_kind_and_gives_the_same_twice(name: str) -> None:
    images = draw()
    before = images.copy()
    changed = change(images, name)
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert (changed != images).any(axis=(1, 2, 3)).all()
    assert (images == before).all()
    assert (changed == change(images, name)).all()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_mild(name: str) -> None:
    images = draw()
    inner = (..., slice(40, 184), slice(40, 184))
    away = np.abs(change(images, name)[inner].astype(float) - images[inner])
    assert away.mean() < 30


@pytest.mark.parametrize(
    ("name", "level"), [("brighter_by_25_levels", 125), ("darker_by_25_levels", 75)]
)
def test_exposure_moves_by_the_levels_named(name: str, level: int) -> None:
    assert (change(FLAT, name) == level).all()


def test_exposure_stops_at_white() -> None:
    assert change(np.full_like(FLAT, 250), "brighter_by_25_levels").min() == 255


@pytest.mark.parametrize(("name", "factor"), [("contrast_x_1.25", 1.25), ("contrast_x_0.8", 0.8)])
def test_contrast_scales_the_distance_from_the_mean(name: str, factor: float) -> None:
    images = draw()
    changed = change(images, name).astype(float)
    assert changed.std() == pytest.approx(factor * images.std(), rel=0.02)
    assert changed.mean() == pytest.approx(images.mean(), abs=1)


def test_noise_has_the_deviation_named_and_differs_from_image_to_image() -> None:
    noise = change(FLAT, "noise_of_5_levels").astype(float) - FLAT
    assert noise.std() == pytest.approx(5, rel=0.05)
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("degrees", [5, 10])
def test_rotations_turn_by_the_degrees_named_and_alternate(degrees: int) -> None:
    images = np.zeros((2, 1, SIDE, SIDE), np.uint8)
    images[:, :, 110:114] = 255  # a level bar
    turned = change(images, f"rotated_{degrees}_degrees")
    for place, sign in ((0, 1), (1, -1)):
        rows, columns = np.nonzero(turned[place, 0] > 128)
        slope, _ = np.polyfit(columns, rows, 1)
        assert np.degrees(np.arctan(slope)) == pytest.approx(sign * degrees, abs=0.3)


def test_nearer_leaves_a_twentieth_out_on_every_side_taller_only_above_and_below() -> None:
    framed = np.zeros((2, 1, SIDE, SIDE), np.uint8)
    framed[:, :, 10:-10, 10:-10] = 200
    assert change(framed, "a_tenth_nearer").min() == 200
    taller = change(framed, "a_tenth_taller")
    assert (taller[..., 112] == 200).all()
    assert (taller[..., :9] == 0).all()


def test_halving_loses_what_is_finer_than_two_pixels() -> None:
    board = np.indices((SIDE, SIDE)).sum(0) % 2 * np.uint8(200)
    images = np.stack([board[np.newaxis]] * 2).astype(np.uint8)
    assert change(images, "halved_and_enlarged").std() < 1


def test_compression_is_a_jpeg_of_quality_30() -> None:
    assert features.check("jpg")
    images = draw()
    buffer = io.BytesIO()
    Image.fromarray(images[0, 0]).save(buffer, "JPEG", quality=30)
    expected = np.asarray(Image.open(buffer))
    assert (change(images, "jpeg_quality_30")[0, 0] == expected).all()


def test_a_marker_is_white_and_near_an_upper_corner_only() -> None:
    changed = change(FLAT, "burned_in_marker")
    for place, columns in ((0, slice(0, 40)), (1, slice(184, 224))):
        written = changed[place, 0] != 100
        assert written[:40, columns].sum() == written.sum() > 20
        assert changed[place].max() == 255


# ---------------------------------------------------------------- the lungs


def test_the_template_covers_two_lungs_left_and_right_of_the_middle() -> None:
    lungs = draw_lungs(SIDE)
    assert not lungs[:, 104:120].any()  # the spine
    assert not lungs[190:].any()  # the belly
    assert not lungs[:20].any()  # the neck
    assert (lungs == lungs[:, ::-1]).mean() > 0.98
    assert 0.35 < lungs.mean() < 0.55
    assert lungs[110, [56, 168]].all()


def test_hiding_the_lungs_blackens_them_and_leaves_the_rest() -> None:
    lungs = draw_lungs(SIDE)
    images = draw()
    hidden = hide_lungs(images)
    assert (hidden[..., lungs] == 0).all()
    assert (hidden[..., ~lungs] == images[..., ~lungs]).all()


def test_hiding_all_but_the_lungs_is_the_opposite() -> None:
    images = draw()
    assert (hide_lungs(images) + hide_all_but_lungs(images) == images).all()


# ---------------------------------------------------------------- orientation


CORNER = np.zeros((1, 1, 4, 4), np.uint8)
CORNER[..., 0, 0] = 200  # the upper left


@pytest.mark.parametrize(
    ("orientation", "row", "column"),
    [("upright", 0, 0), ("upside_down", 3, 3), ("turned_left", 3, 0), ("turned_right", 0, 3)],
)
def test_a_turned_picture_has_its_corner_where_the_name_says(
    orientation: Orientation, row: int, column: int
) -> None:
    turned = turn(CORNER, orientation)
    assert turned[0, 0, row, column] == 200
    assert turned.sum() == 200
    assert turned.flags.c_contiguous


def test_an_inverted_picture_is_upright_with_bright_and_dark_exchanged() -> None:
    assert (turn(CORNER, "inverted") == 255 - CORNER).all()
