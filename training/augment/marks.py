"""What is burned into images: letters, lines of text, arrows, wedges and borders.

They tell of the hospital, not of the lungs, so they are put on images of every source alike. Every
random number comes from the generator; lengths are shares of the image's side.
"""

from functools import cache
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from training.augment.chance import chosen, fork, integer, uniform

_CORNER_WORDS: Final = ("R", "L", "PA", "AP", "PORTABLE", "ERECT", "SUPINE", "10:42", "CXR", "DX")
_WORDS: Final = (
    *("R", "L", "PA", "AP", "PORTABLE", "ERECT", "SUPINE", "SEMI ERECT", "SITTING", "MOBILE"),
    *("CHEST", "CXR", "DX", "CR", "ICU", "WARD", "ER", "ROOM", "INSP", "GRID", "STAT", "WINDOW"),
    *("D", "I", "DCHA", "IZQ", "TÓRAX", "RX", "UCI", "PORTÁTIL", "URGENCIAS", "HOSPITAL"),
    *("DECÚBITO", "SUPINO", "BIPEDESTACIÓN", "SENTADO", "PACIENTE", "kVp", "mAs", "cm", "ID"),
)
_WRITTEN: Final = 0.35
_POINTED: Final = 0.1
_BORDERED: Final = 0.3
_DEEPEST: Final = 0.12  # of a border
_TILT: Final = 0.15  # of a border: its slope, 8.5 degrees
_DARK: Final = 0.15  # share of the text that is dark


def mark_corners(images: Tensor, generator: torch.Generator) -> Tensor:
    """Burn letters into some images, near a corner: they are no sign of any disease."""
    images = images.clone()
    side = images.shape[-1]
    for row in chosen(len(images), 0.15, generator):
        picture = to_pil(images[row, 0])
        word = _CORNER_WORDS[integer(0, len(_CORNER_WORDS) - 1, generator)]
        left = integer(0, 1, generator) * 0.7 + 0.2 * float(uniform(1, 0, 1, generator))
        top = integer(0, 1, generator) * 0.8 + 0.1 * float(uniform(1, 0, 1, generator))
        font = _font(max(6, round(side * integer(3, 9, generator) / 100)))
        grey = integer(150, 255, generator)
        ImageDraw.Draw(picture).text((left * side, top * side), word, fill=grey, font=font)
        images[row, 0] = from_pil(picture)
    return images


def erase_borders(images: Tensor, generator: torch.Generator) -> Tensor:
    """Overwrite a border strip, or a corner where text stands, with one grey level."""
    side = images.shape[-1]
    for row in chosen(len(images), 0.3, generator):
        depth = integer(1, round(0.14 * side), generator)
        length = side if integer(0, 1, generator) else integer(depth, side // 2, generator)
        grey = (0, 0, 255, int(images[row].mean()))[integer(0, 3, generator)]
        turns = integer(0, 3, generator)
        turned = images[row, 0].rot90(turns)
        turned[:depth, :length] = grey
        images[row, 0] = turned.rot90(-turns)
    return images


def add_borders(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images, some with dark or light borders: strips, wedges, corner triangles.

    Each side has one or not; half of the time they are tilted by one angle, as around a film that
    was scanned or copied askew.

    Parameters
    ----------
    images : float32 [N, 1, H, W], from 0 to 255
    """
    rows = chosen(len(images), _BORDERED, generator)
    if not rows:
        return images
    result = images.clone()
    draws = fork(generator)
    for row in rows:
        depths = draws.uniform(0, _DEEPEST, 4) * (draws.random(4) < 0.5)  # noqa: PLR2004 - half
        tilt = draws.uniform(-_TILT, _TILT) if draws.random() < 0.5 else 0.0  # noqa: PLR2004
        light = draws.random() < 1 / 3
        level = draws.integers(230, 256) if light else draws.integers(0, 21)
        covered = draw_borders(images.shape[-1], depths.tolist(), tilt)
        result[row, 0, torch.from_numpy(covered).to(images.device)] = float(level)
    return result


def draw_borders(side_px: int, depths: list[float], tilt: float) -> np.ndarray:
    """Return where borders lie, bool [side, side].

    Parameters
    ----------
    depths : of the top, left, bottom and right border in the middle of that side, shares of the
        side; 0 leaves it without one
    tilt : the slope of each border to its side, all turned one way
    """
    place = (np.arange(side_px) + 0.5) / side_px
    covered = np.zeros((side_px, side_px), bool)
    for turns, depth in enumerate(depths):
        if depth > 0:
            edge = depth + tilt * (place - 0.5)  # how deep, along the side
            np.rot90(covered, -turns)[place[:, np.newaxis] < edge] = True
    return covered


def annotate(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images, some with lines of text along a side, some with arrows anywhere.

    Parameters
    ----------
    images : float32 [N, 1, H, W], from 0 to 255
    """
    written = set(chosen(len(images), _WRITTEN, generator))
    pointed = set(chosen(len(images), _POINTED, generator))
    if not written | pointed:
        return images
    result = images.clone()
    draws = fork(generator)
    for row in sorted(written | pointed):
        layer = Image.new("L", (images.shape[-1], images.shape[-1]))
        if row in pointed:
            _draw_arrow(layer, draws)
        if row in written:
            for _ in range(draws.integers(1, 3)):
                layer = _write_lines(layer, draws)
        dark = draws.random() < _DARK
        grey = float(draws.integers(0, 61) if dark else draws.integers(120, 256))
        share = from_pil(layer).to(images.device) / 255
        result[row, 0] = images[row, 0].lerp(torch.full_like(share, grey), share)
    return result


def _write_lines(layer: Image.Image, draws: np.random.Generator) -> Image.Image:
    """Write one to four lines along a side, on the left and right upright or turned."""
    side = layer.width
    lines = [_compose(draws) for _ in range(draws.integers(1, 5))]
    font = _font(max(6, round(side * draws.uniform(0.03, 0.09))))
    edge = draws.integers(4)  # top, bottom, left, right
    turned = edge > 1 and draws.random() < 0.5  # noqa: PLR2004 - left or right, half of them
    near, along = draws.uniform(0, 0.06), draws.uniform(0, 0.8)
    far = bool(edge % 2)
    if edge > 1 and not turned:
        anchor, at = ("ra" if far else "la"), ((1 - near if far else near), along)
    else:
        anchor, at = "la", (along, 0.75 + near * 2 if far else near)
    written = Image.new("L", layer.size)
    height = font.size * 1.15 if isinstance(font, ImageFont.FreeTypeFont) else 11
    for number, line in enumerate(lines):
        place = (at[0] * side, at[1] * side + number * height)
        ImageDraw.Draw(written).text(place, line, fill=255, font=font, anchor=anchor)
    if turned:
        written = written.transpose(Image.Transpose.ROTATE_90)
    layer.paste(written, mask=written)
    return layer


def _compose(draws: np.random.Generator) -> str:
    """Make up a line: words, dates, times and numbers, one to six of them."""
    return " ".join(_make_up(draws) for _ in range(draws.integers(1, 7)))


def _make_up(draws: np.random.Generator) -> str:
    kind = draws.random()
    day, month, year = draws.integers(1, 29), draws.integers(1, 13), draws.integers(1998, 2027)
    texts = {
        0.55: _WORDS[draws.integers(len(_WORDS))],
        0.65: f"{day:02d}/{month:02d}/{year}",
        0.72: f"{year}-{month:02d}-{day:02d}",
        0.82: f"{draws.integers(24):02d}:{draws.integers(60):02d}",
        0.88: ("->", "<-", "^", "+", "*", "=>")[draws.integers(6)],
        1.0: str(draws.integers(10 ** draws.integers(1, 9))),
    }
    return next(text for bound, text in texts.items() if kind < bound)


def _draw_arrow(layer: Image.Image, draws: np.random.Generator) -> None:
    """Draw an arrow anywhere, of any direction, as readers put beside what they saw."""
    side = layer.width
    tip = draws.uniform(0.1, 0.9, 2) * side
    angle, length = draws.uniform(0, 2 * np.pi), draws.uniform(0.05, 0.2) * side
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = max(1, round(side * draws.uniform(0.005, 0.02)))
    tail, head = tip - length * along, 2.0 * width + 0.02 * side
    pen = ImageDraw.Draw(layer)
    pen.line([*tail.tolist(), *(tip - head * along).tolist()], fill=255, width=width)
    corners = (tip, tip - head * along + head / 2 * across, tip - head * along - head / 2 * across)
    pen.polygon([tuple(corner.tolist()) for corner in corners], fill=255)


@cache
def _font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size_px)


def to_pil(image: Tensor) -> Image.Image:
    """Return grey levels [H, W] as a picture."""
    return Image.fromarray(image.round().to(torch.uint8).cpu().numpy())


def from_pil(picture: Image.Image) -> Tensor:
    """Return a picture's grey levels, float32 [H, W]."""
    return torch.from_numpy(np.array(picture)).float()
