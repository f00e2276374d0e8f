"""The legend of a map: which label it is of, what its colours mean, and what to beware of."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.language import Language, Text

LEAST_PX: Final = 384
"""Of a picture's width: or the legend would not be legible."""

# Viridis (van der Walt and Smith 2015, CC0): its lightness rises evenly, so it reads the same
# without red and green, and printed in grey. 17 of its 256 colours, evenly spaced.
_VIRIDIS: Final = (
    "440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c",
    "1f9f88", "27ad81", "3dbc74", "5cc863", "81d34d", "aadc32", "d5e21a", "fde725",
)  # fmt: skip

_FOR: Final = Text("What speaks for: {label} ({share})", "Lo que apoya: {label} ({share})")
_CALLED: Final = Text("Label called: {label} ({share})", "Etiqueta dada: {label} ({share})")
_LEAST: Final = Text("nothing", "nada")
_MOST: Final = Text("most", "máximo")
_STRENGTH: Final = Text(
    "The colours are as strong as the label is likely.",
    "Los colores son tan intensos como probable es la etiqueta.",
)
_NO_MAP: Final = Text(
    "No map is drawn for normal unless it is asked for (label=normal): it means that none of the "
    "three others was found, anywhere.",
    "Para normal no se dibuja mapa si no se pide (label=normal): significa que no se halló ninguna "
    "de las otras tres, en ninguna parte.",
)
_NOT_CALLED: Final = Text(
    "Not the label called, which is: {label}.", "No es la etiqueta dada, que es: {label}."
)
_UNCERTAIN: Final = Text("The answer is uncertain.", "La respuesta es incierta.")
_OUTSIDE: Final = Text(
    "Caution: what is marked most lies at the border or where the film shows no body.",
    "Atención: lo más marcado está en el borde o donde la imagen no muestra el cuerpo.",
)
_NO_DIAGNOSIS: Final = Text("Not a diagnosis.", "No es un diagnóstico.")
_NO_DEVICE: Final = Text(
    "Not a medical device. Shipped weights: research use only.",
    "No es producto sanitario. Pesos incluidos: solo investigación.",
)
_MEANING: Final = Text(
    "Class activation map, {rows} x {columns} cells, of {model}.",
    "Mapa de activación de clase, {rows} x {columns} celdas, de {model}.",
)
_READ_BY: Final = Text("Read by {model}.", "Leído por {model}.")


@dataclass(frozen=True, slots=True)
class Legend:
    """What stands below the picture: names and figures of Neumo's own, nothing of a caller's.

    Parameters
    ----------
    label : display name of the label that is shown
    share : its probability
    called : display name of the label called, if that is another one
    uncertain : whether the network does not know
    outside : whether what is marked most lies outside the body
    cells : rows and columns of the map; None if none is drawn
    model : the bundle's name
    """

    label: str
    share: float
    called: str | None
    uncertain: bool
    outside: bool
    cells: tuple[int, int] | None
    model: str
    language: Language


def draw_legend(legend: Legend, width: int, text_width: int) -> Image.Image:
    """Return the legend as a picture of `width` pixels, as high as its lines need.

    Parameters
    ----------
    text_width : pixels that the size of the letters goes by
    """
    text_px = max(12, text_width // 44)
    line_px = round(1.5 * text_px)
    font = _font(text_px)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [
        (line, colour)
        for text, colour in _texts(legend)
        for line in _wrap(pen, text, font, width - 2 * text_px)
    ]
    bars = int(legend.cells is not None)
    sheet = Image.new("RGB", (width, (len(lines) + bars) * line_px + text_px), "black")
    pen = ImageDraw.Draw(sheet)
    top = text_px // 2
    for index, (line, colour) in enumerate(lines):
        if index == 1 and bars:  # below the title
            _draw_bar(sheet, pen, legend.language, font, (text_px, top), text_width // 3)
            top += line_px
        pen.text((text_px, top), line, colour, font)
        top += line_px
    return sheet


def _texts(legend: Legend) -> Iterator[tuple[str, str]]:
    """Return what is written, and its colour: the title, cautions, what it is and isn't."""
    language, share = legend.language, f"{legend.share:.1%}"
    title = _FOR if legend.cells else _CALLED
    yield title.render(language, label=legend.label, share=share), "white"
    cautions = []
    if legend.called is not None:
        cautions.append(_NOT_CALLED.render(language, label=legend.called))
    if legend.uncertain:
        cautions.append(_UNCERTAIN.render(language))
    if legend.outside:
        cautions.append(_OUTSIDE.render(language))
    if cautions:
        yield " ".join(cautions), "orange"
    if legend.cells is None:
        yield _NO_MAP.render(language), "white"
    else:
        yield _STRENGTH.render(language), "white"
    yield f"{_NO_DIAGNOSIS.render(language)} {_NO_DEVICE.render(language)}", "white"
    if legend.cells is None:
        yield _READ_BY.render(language, model=legend.model), "silver"
    else:
        rows, columns = legend.cells
        yield _MEANING.render(language, rows=rows, columns=columns, model=legend.model), "silver"


def _draw_bar(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    language: Language,
    font: ImageFont.FreeTypeFont,
    place: tuple[int, int],
    bar_px: int,
) -> None:
    left, top = place
    text_px = round(font.size)
    least, most = _LEAST.render(language), _MOST.render(language)
    pen.text(place, least, "white", font)
    bar_left = left + round(pen.textlength(least, font)) + text_px
    bar = Image.fromarray(np.tile(palette()[np.newaxis], (text_px, 1, 1)))
    sheet.paste(bar.resize((bar_px, text_px)), (bar_left, top))
    pen.text((bar_left + bar_px + text_px, top), most, "white", font)


def _wrap(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int
) -> Iterator[str]:
    """Break a text into lines that are at most `width` pixels long."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and pen.textlength(longer, font) > width:
            yield line
            line = word
        else:
            line = longer
    yield line


@cache
def palette() -> NDArray[np.uint8]:
    """Viridis, uint8 [256, 3]."""
    anchors = np.array([tuple(bytes.fromhex(colour)) for colour in _VIRIDIS], np.float64)
    places = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), places, channel) for channel in anchors.T]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colours


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, cut to Latin-1: Pillow's own font has no accents."""
    font = resources.files("app.render") / "fonts" / "DejaVuSans-latin.ttf"
    return ImageFont.truetype(io.BytesIO(font.read_bytes()), size_px)
