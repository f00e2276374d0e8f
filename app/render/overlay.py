"""Seeing why: the class activation map of one label, laid over the image as a PNG.

The map comes from the same forward pass as the answer (Zhou et al. 2016, "Learning Deep
Features for Discriminative Localization"): its mean plus the head's bias is the label's logit.
Drawn is what speaks for the label: negative cells count as nothing, and the strongest cell
has full colour, so colours compare places within one image and never two images.
"""

import io
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from app.image.grey_image import GreyImage
from app.language import Language, Text
from app.model.labels import LabelId
from app.reading.reading import Reading
from app.render.wording import NOTICE

Floats = NDArray[np.float32]

DEFAULT_ALPHA: Final = 0.5
_MOST_PX: Final = 768
_LEAST_PX: Final = 384  # or the legend would not be legible
_FASTEST_COMPRESSION: Final = 1

# Viridis (van der Walt and Smith 2015, CC0): its lightness rises evenly, so it reads the same
# without red and green, and printed in grey. 17 of its 256 colours, evenly spaced.
_VIRIDIS: Final = (
    "440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c",
    "1f9f88", "27ad81", "3dbc74", "5cc863", "81d34d", "aadc32", "d5e21a", "fde725",
)  # fmt: skip

_FOR: Final = Text("What speaks for: {label} ({share})", "Lo que apoya: {label} ({share})")
_LEAST: Final = Text("nothing", "nada")
_MOST: Final = Text("most", "máximo")
_MEANING: Final = Text(
    "Class activation map, 7 x 7 cells, of {model}.",
    "Mapa de activación de clase, 7 x 7 celdas, de {model}.",
)
_NO_DIAGNOSIS: Final = Text("Not a diagnosis.", "No es un diagnóstico.")
_NO_DEVICE: Final = Text(
    "Not a medical device. Shipped weights: research use only.",
    "No es producto sanitario. Pesos incluidos: solo investigación.",
)
_UNCERTAIN: Final = Text("The answer is uncertain.", "La respuesta es incierta.")


@dataclass(frozen=True, slots=True)
class Legend:
    """What stands below the picture: names and figures of Neumo's own, nothing of a caller's.

    `label` is the label's display name, `share` its probability, `uncertain` whether the network
    does not know, `model` the bundle's name.
    """

    label: str
    share: float
    uncertain: bool
    model: str
    language: Language


def relevance(cam: Floats) -> Floats:
    """Return what speaks for a label: its map [7, 7] from 0 (nothing) to 1 (most in this image).

    All 0 if no cell speaks for it.
    """
    positive = np.maximum(cam, 0)
    top = float(positive.max())
    shares: Floats = (positive / (top or 1.0)).astype(np.float32)
    return shares


def render_overlay(
    reading: Reading,
    language: Language,
    label: LabelId | None = None,
    alpha: float = DEFAULT_ALPHA,
) -> bytes:
    """Return the class activation map of `label`, or of the label called, as a PNG.

    Parameters
    ----------
    alpha : from 0 (only the radiograph) to 1 (the strongest cell hides it)
    """
    judgement = reading.judgement
    label = label or judgement.label
    legend = Legend(
        label=reading.card.display(label, language),
        share=judgement.probabilities[label],
        uncertain=judgement.status == "uncertain",
        model=reading.card.name,
        language=language,
    )
    return draw_overlay(reading.image, reading.outputs.cam[label], legend, alpha)


def draw_overlay(image: GreyImage, cam: Floats, legend: Legend, alpha: float) -> bytes:
    """Lay a map over the image it was computed from, a legend below, as a PNG.

    Parameters
    ----------
    image : as decoded; its longer side is drawn at 384 to 768 px
    cam : float32 [7, 7], the label's map; its cells tile the image
    alpha : from 0 (only the radiograph) to 1 (the strongest cell hides it)
    """
    size = _drawn_size(image)
    grey = Image.fromarray(image.pixels).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    heat = Image.fromarray(relevance(cam)).resize(size, Image.Resampling.BICUBIC)
    shares = np.asarray(heat).clip(0, 1)
    colours = _palette()[np.rint(shares * 255).astype(np.uint8)]
    # As strong as the map: where nothing speaks for the label the radiograph stays as it is.
    cover = np.rint(shares * (alpha * 255)).astype(np.uint8)
    grey.paste(Image.fromarray(colours), mask=Image.fromarray(cover))
    picture = _with_legend(grey, legend)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_FASTEST_COMPRESSION, pnginfo=_origin(legend))
    return file.getvalue()


def _drawn_size(image: GreyImage) -> tuple[int, int]:
    """Return (width, height) to draw at, in the shape the file has."""
    width, height = image.facts.width, image.facts.height
    longer = max(width, height)
    scale = min(max(longer, _LEAST_PX), _MOST_PX) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _with_legend(picture: Image.Image, legend: Legend) -> Image.Image:
    width = max(picture.width, _LEAST_PX)
    text_px = max(12, width // 44)
    line_px = round(1.5 * text_px)
    sheet = Image.new("RGB", (width, picture.height + 5 * line_px + text_px), "black")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(sheet)
    font = _font(text_px)
    left, top = text_px, picture.height + text_px // 2
    language = legend.language
    title = _FOR.render(language, label=legend.label, share=f"{legend.share:.1%}")
    pen.text((left, top), title, "white", font)
    top += line_px
    least, most = _LEAST.render(language), _MOST.render(language)
    pen.text((left, top), least, "white", font)
    bar_left = left + round(pen.textlength(least, font)) + text_px
    bar = Image.fromarray(np.tile(_palette()[np.newaxis], (text_px, 1, 1)))
    sheet.paste(bar.resize((width // 3, text_px)), (bar_left, top))
    pen.text((bar_left + width // 3 + text_px, top), most, "white", font)
    top += line_px
    cautions = [_UNCERTAIN, _NO_DIAGNOSIS] if legend.uncertain else [_NO_DIAGNOSIS]
    pen.text((left, top), " ".join(each.render(language) for each in cautions), "white", font)
    top += line_px
    pen.text((left, top), _NO_DEVICE.render(language), "white", font)
    top += line_px
    pen.text((left, top), _MEANING.render(language, model=legend.model), "silver", font)
    return sheet


def _origin(legend: Legend) -> PngInfo:
    """Say in the file which model drew it (PNG keywords, ISO/IEC 15948 section 11.3.4)."""
    info = PngInfo()
    info.add_text("Software", f"Neumo, {legend.model}")
    info.add_text("Disclaimer", NOTICE.en)
    return info


@cache
def _palette() -> NDArray[np.uint8]:
    """Viridis, uint8 [256, 3]."""
    anchors = np.array([tuple(bytes.fromhex(colour)) for colour in _VIRIDIS], np.float64)
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, channel) for channel in anchors.T]
    palette: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return palette


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, cut to Latin-1: Pillow's own font has no accents."""
    font = resources.files("app.render") / "fonts" / "DejaVuSans-latin.ttf"
    return ImageFont.truetype(io.BytesIO(font.read_bytes()), size_px)
