"""Seeing why: the film, and beside it the class activation map of one label laid over it, as a PNG.

The map comes from the same forward pass as the answer (Zhou et al. 2016, "Learning Deep
Features for Discriminative Localization"): its mean plus the head's bias is the label's logit.
Drawn is what speaks for the label: negative cells count as nothing, and the strongest cell
has the strongest colour. Colours hide the film by as much as the label is likely: the map of a
label of 1 % stays nearly unseen, however its cells differ.

`normal` is the absence of the three others, and has no place in the film: unless it is asked for,
none is drawn.
"""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.image.grey_image import GreyImage
from app.language import Language
from app.model.labels import LabelId
from app.reading.reading import Reading
from app.render.legend import LEAST_PX, Legend, draw_legend, palette
from app.render.wording import NOTICE

Floats = NDArray[np.float32]

DEFAULT_ALPHA: Final = 0.5
GAP_PX: Final = 8
"""Between the film and the overlay."""

_MOST_PX: Final = 768
_FASTEST_COMPRESSION: Final = 1
_HOT: Final = 0.8
_BLACK: Final = 16
_FLAT: Final = 8
_CELL_PX: Final = 16
_RING_FROM: Final = 7


def relevance(cam: Floats) -> Floats:
    """Return what speaks for a label: its map, from 0 (nothing) to 1 (most in this image).

    All 0 if no cell speaks for it.
    """
    positive = np.maximum(cam, 0)
    top = float(positive.max())
    shares: Floats = (positive / (top or 1.0)).astype(np.float32)
    return shares


def lies_outside(image: GreyImage, cam: Floats) -> bool:
    """Tell whether what a map marks most lies outside the body.

    So it does if at least half of the hottest cells (within a fifth of the strongest) are cells in
    which the film shows nothing: black (a median grey under 16 of 255), or of one grey (95 % within
    8 levels), as borders and labels are. Of a map of 7 cells a side or more the outermost ring
    counts whatever it shows; larger cells there hold the lungs' sides, apices and bases.
    """
    marked = relevance(cam)
    hottest = marked >= _HOT
    if not marked.any():
        return False
    rows, columns = cam.shape
    small = Image.fromarray(image.pixels).resize(
        (columns * _CELL_PX, rows * _CELL_PX), Image.Resampling.BOX
    )
    cells = np.asarray(small).reshape(rows, _CELL_PX, columns, _CELL_PX).swapaxes(1, 2)
    low, middle, high = np.percentile(cells, [2.5, 50, 97.5], axis=(2, 3))
    outside = (middle < _BLACK) | (high - low <= _FLAT)
    outside[[0, -1]] |= rows >= _RING_FROM
    outside[:, [0, -1]] |= columns >= _RING_FROM
    return bool((hottest & outside).sum() * 2 >= hottest.sum())


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is laid over a film.

    Parameters
    ----------
    cam : float32 [height, width], the label's map; its cells tile the image
    strength : from 0 (only the film) to 1 (the strongest cell hides it)
    """

    cam: Floats
    strength: float


def render_overlay(
    reading: Reading,
    language: Language,
    label: LabelId | None = None,
    alpha: float = DEFAULT_ALPHA,
) -> bytes:
    """Return the film and the class activation map of a label over it as a PNG.

    Parameters
    ----------
    label : None is the label called; if that is `normal`, the film comes without a map
    alpha : from 0 (only the film) to 1 (the strongest cell of a label of 100 % hides it)
    """
    return _write_png(paint_overlay(reading, language, label, alpha), reading.card.name)


def paint_overlay(
    reading: Reading,
    language: Language,
    label: LabelId | None = None,
    alpha: float = DEFAULT_ALPHA,
) -> Image.Image:
    """Return the picture of `render_overlay`, RGB."""
    judgement, card = reading.judgement, reading.card
    shown = label or judgement.label
    cam = reading.outputs.cam[shown]
    drawn = label is not None or shown != "normal"
    legend = Legend(
        label=card.display(shown, language),
        share=judgement.probabilities[shown],
        called=None if shown == judgement.label else card.display(judgement.label, language),
        uncertain=judgement.status == "uncertain",
        outside=drawn and lies_outside(reading.image, cam),
        cells=(cam.shape[0], cam.shape[1]) if drawn else None,
        model=card.name,
        language=language,
    )
    strength = alpha * judgement.probabilities[shown]
    return _lay_out(reading.image, Drawing(cam, strength) if drawn else None, legend)


def draw_overlay(image: GreyImage, drawing: Drawing | None, legend: Legend) -> bytes:
    """Draw a film, what is laid over it beside, and a legend below, as a PNG.

    Parameters
    ----------
    image : as decoded; its longer side is drawn at 384 to 768 px
    drawing : None is none: then the film stands alone
    """
    return _write_png(_lay_out(image, drawing, legend), legend.model)


def _lay_out(image: GreyImage, drawing: Drawing | None, legend: Legend) -> Image.Image:
    size = _drawn_size(image)
    film = Image.fromarray(image.pixels).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    panels = [film]
    if drawing is not None:
        panels.append(_lay_over(film.copy(), drawing))
    width = sum(panel.width for panel in panels) + GAP_PX * (len(panels) - 1)
    below = draw_legend(legend, max(width, LEAST_PX), text_width=max(size[0], LEAST_PX))
    sheet = Image.new("RGB", (below.width, size[1] + below.height), "black")
    left = (sheet.width - width) // 2
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + GAP_PX
    sheet.paste(below, (0, size[1]))
    return sheet


def _write_png(sheet: Image.Image, model: str) -> bytes:
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=_FASTEST_COMPRESSION, pnginfo=_origin(model))
    return file.getvalue()


def _lay_over(film: Image.Image, drawing: Drawing) -> Image.Image:
    heat = Image.fromarray(relevance(drawing.cam)).resize(film.size, Image.Resampling.BICUBIC)
    shares = np.asarray(heat).clip(0, 1)
    colours = palette()[np.rint(shares * 255).astype(np.uint8)]
    # As strong as the map: where nothing speaks for the label the film stays as it is.
    cover = np.rint(shares * (drawing.strength * 255)).astype(np.uint8)
    film.paste(Image.fromarray(colours), mask=Image.fromarray(cover))
    return film


def _drawn_size(image: GreyImage) -> tuple[int, int]:
    """Return (width, height) to draw at, in the shape the file has."""
    width, height = image.facts.width, image.facts.height
    longer = max(width, height)
    scale = min(max(longer, LEAST_PX), _MOST_PX) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _origin(model: str) -> PngInfo:
    """Say in the file which model drew it (PNG keywords, ISO/IEC 15948 section 11.3.4)."""
    info = PngInfo()
    info.add_text("Software", f"Neumo, {model}")
    info.add_text("Disclaimer", NOTICE.en)
    return info
