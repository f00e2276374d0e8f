"""Fixed changes of images: what a robust network's answers don't depend on, and its lungs.

Mild ones, as between two good radiographs of one chest, or two ways of saving one. Each is a
function of the image and its place in the set alone, so a table made with them can be made
again.
"""

import io
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from app.model.labels import Orientation

Images = NDArray[np.uint8]
_Change = Callable[[Image.Image, int], Image.Image]

_LUNGS: Final = ((0.09, 0.10, 0.46, 0.83), (0.54, 0.10, 0.91, 0.83))
"""Boxes around the two lungs, shares of the side: left, top, right, bottom."""


def change(images: Images, name: str) -> Images:
    """Return uint8 images [N, 1, H, W], each after the change of `CHANGES` named."""
    apply = CHANGES[name]
    return np.stack(
        [
            np.asarray(apply(Image.fromarray(image[0]), place), np.uint8)[np.newaxis]
            for place, image in enumerate(images)
        ]
    )


def hide_lungs(images: Images) -> Images:
    """Black out the lungs of uint8 images [N, 1, H, W], by one template for all."""
    return np.where(draw_lungs(images.shape[-1]), np.uint8(0), images)


def hide_all_but_lungs(images: Images) -> Images:
    """Black out everything but the lungs, by the same template."""
    return np.where(draw_lungs(images.shape[-1]), images, np.uint8(0))


def turn(images: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """Return upright images, uint8 [N, 1, 224, 224], in another orientation."""
    match orientation:
        case "upside_down":
            turned = np.rot90(images, 2, (2, 3))
        case "turned_left":
            turned = np.rot90(images, 1, (2, 3))
        case "turned_right":
            turned = np.rot90(images, 3, (2, 3))
        case "inverted":
            turned = 255 - images
        case "upright":
            turned = images
    return np.ascontiguousarray(turned)


@cache
def draw_lungs(side_px: int) -> NDArray[np.bool_]:
    """Return where the lungs of a frontal chest X-ray lie, roughly: bool [H, W].

    Two half-ellipses with flat bases. Children and adults, any inspiration: it covers the lungs
    of most images and some heart and ribs with them.
    """
    picture = Image.new("1", (side_px, side_px))
    for left, top, right, bottom in _LUNGS:
        height = bottom - top
        box = [side_px * share for share in (left, top, right, bottom + 0.5 * height)]
        ImageDraw.Draw(picture).ellipse(box, fill=1)
    mask = np.array(picture)
    mask[round(side_px * _LUNGS[0][3]) :] = False
    mask.flags.writeable = False
    return mask


def _rotate(degrees: float) -> _Change:
    def rotate(picture: Image.Image, place: int) -> Image.Image:
        turn = degrees if place % 2 else -degrees
        return picture.rotate(turn, Image.Resampling.BILINEAR)

    return rotate


def _enlarge(across: float, down: float) -> _Change:
    """See the middle share of each side only, as a tighter collimation shows it."""

    def enlarge(picture: Image.Image, _: int) -> Image.Image:
        width, height = picture.size
        left, top = width * (1 - across) / 2, height * (1 - down) / 2
        box = (left, top, width - left, height - top)
        return picture.resize(picture.size, Image.Resampling.BILINEAR, box)

    return enlarge


def _levels(rule: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> _Change:
    def relevel(picture: Image.Image, _: int) -> Image.Image:
        changed = rule(np.asarray(picture, np.float64))
        return Image.fromarray(changed.round().clip(0, 255).astype(np.uint8))

    return relevel


def _contrast(factor: float) -> _Change:
    return _levels(lambda levels: (levels - levels.mean()) * factor + levels.mean())


def _blur(picture: Image.Image, _: int) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(1))


def _grain(picture: Image.Image, place: int) -> Image.Image:
    noise = np.random.default_rng(place).normal(0, 5, picture.size[::-1])
    return _levels(lambda levels: levels + noise)(picture, place)


def _compress(picture: Image.Image, _: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def _shrink(picture: Image.Image, _: int) -> Image.Image:
    width, height = picture.size
    small = picture.resize((width // 2, height // 2), Image.Resampling.BOX)
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _mark(picture: Image.Image, place: int) -> Image.Image:
    marked = picture.copy()
    side = picture.width
    font = ImageFont.load_default(round(side * 0.08))
    left = side * (0.86 if place % 2 else 0.04)
    ImageDraw.Draw(marked).text((left, side * 0.04), "L" if place % 2 else "R", fill=255, font=font)
    return marked


CHANGES: Final[Mapping[str, _Change]] = MappingProxyType(
    {
        "rotated_5_degrees": _rotate(5),
        "rotated_10_degrees": _rotate(10),
        "a_tenth_nearer": _enlarge(0.9, 0.9),
        "a_tenth_taller": _enlarge(1, 0.9),
        "brighter_by_25_levels": _levels(lambda levels: levels + 25),
        "darker_by_25_levels": _levels(lambda levels: levels - 25),
        "contrast_x_1.25": _contrast(1.25),
        "contrast_x_0.8": _contrast(0.8),
        "blurred_1_px": _blur,
        "noise_of_5_levels": _grain,
        "jpeg_quality_30": _compress,
        "halved_and_enlarged": _shrink,
        "burned_in_marker": _mark,
    }
)
"""At 224 px, by name. Rotations alternate in direction, markers in side."""
