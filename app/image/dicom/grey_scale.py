"""The grey scale (PS3.3 C.7.6.3, C.11; PS3.4 N.2): from a stored value to grey, as it is shown.

One table over stored values, made in this order:

1. The stored value: its bits out of the word, with its sign.
2. Pixel padding, a value or a range of them (C.7.5.1.1.2): black, at the very end too.
3. The modality LUT, or the rescale slope and intercept, which may be negative (C.11.1).
4. A VOI LUT, or a window by LINEAR, LINEAR_EXACT or SIGMOID (C.11.2). A LUT wins over a window;
   of several the first is used, or the one that was asked for. An image without any is shown over
   the whole range of its bits if these are 8, else by the rule of `app.image.window`.
5. Presentation LUT Shape, or MONOCHROME1, inverts (C.7.6.3.1.2, C.11.6).

A window or LUT that contradicts itself is refused, not guessed.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.errors import DicomUnsupported, InvalidParameter
from app.image.dicom.dataset import Elements
from app.image.dicom.pixels import PALETTE, Layout, Words, read_padding
from app.image.grey_image import GreyWindow, Rendering
from app.image.stripes import stripes
from app.image.window import DEEP_MAX, FULL_SCALE, count_values, find_window_of_counts

_WHITE: Final = 255
_FEW_BITS: Final = 8
_WORD_VALUES: Final = 65_536
_FUNCTIONS: Final[dict[str, Rendering]] = {
    "": "linear",
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear_exact",
    "SIGMOID": "sigmoid",
}
_LUMA: Final = (19595, 38470, 7471)  # ITU-R 601-2, in 65536ths, as for PNG

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lut:
    """A look-up table (C.11.1.1): `outputs` for inputs from `first` on, of so many `bits`."""

    first: int
    outputs: NDArray[np.int64]
    bits: int

    def apply(self, inputs: NDArray[Any]) -> NDArray[np.int64]:
        """Return the outputs of integers; those beyond an end have that end's."""
        indices: NDArray[np.int64] = (inputs - self.first).clip(0, len(self.outputs) - 1)
        return self.outputs[indices]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Grey pixels, uint8 [height, width], and how they came about."""

    pixels: NDArray[np.uint8]
    window: GreyWindow
    windows: int


def render(elements: Elements, layout: Layout, words: Words, window: int | None) -> Rendered:
    """Show stored values as grey.

    Raises
    ------
    DicomUnsupported
        If what the file says of its grey scale contradicts itself.
    InvalidParameter
        If there is no such `window`.
    """
    if layout.photometric_interpretation == PALETTE:
        check_window(window, 0)
        grey, shown, windows = _palette(elements, words.bits), GreyWindow("colour"), 0
    else:
        grey, shown, windows = _grey_levels(elements, layout, words, window)
    table = grey[words.patterns]
    pixels = np.empty(words.array.shape, np.uint8)
    for rows in stripes(words.array):  # indices take 8 bytes a pixel
        pixels[rows] = np.take(table, words.array[rows])
    return Rendered(pixels, shown, windows)


def check_window(window: int | None, windows: int) -> None:
    """Hold the window that was asked for to the number of those that are there.

    Raises
    ------
    InvalidParameter
    """
    if window is not None and not 0 <= window < windows:
        raise InvalidParameter(parameter="window", reason="window", windows=windows)


def _grey_levels(
    elements: Elements, layout: Layout, words: Words, window: int | None
) -> tuple[NDArray[np.uint8], GreyWindow, int]:
    """Return the grey of each pattern of bits, the window, and how many there are."""
    count = 1 << words.bits
    stored = np.arange(count)
    if layout.is_signed:
        stored = np.where(stored < count // 2, stored, stored - count)
    padding = read_padding(elements, stored, signed=layout.is_signed)
    lut = _lut(elements, "ModalityLUTSequence", signed=layout.is_signed)
    slope, intercept = (1.0, 0.0) if lut else _rescale(elements)
    values: Values = np.asarray(
        lut.apply(stored) if lut else stored * slope + intercept, np.float64
    )

    luts = elements.items("VOILUTSequence")
    windows = _windows(elements)
    choices = len(luts) + len(windows)
    chosen = window or 0
    check_window(window, choices)
    if chosen < len(luts):
        shares = _apply_voi_lut(_read_lut(luts[chosen], signed=values.min() < 0), values)
        shown = GreyWindow("voi_lut")
    elif chosen < choices:
        center, width = windows[chosen - len(luts)]
        function = _FUNCTIONS.get(elements.text("VOILUTFunction"))
        if function is None:
            raise DicomUnsupported(reason="grey_scale")
        shares = _apply_window(values, center, width, function)
        shown = GreyWindow(function, center, width)
    elif layout.bits_stored <= _FEW_BITS:
        lowest, highest = (
            (0.0, float((1 << lut.bits) - 1)) if lut else _range(layout, slope, intercept)
        )
        shares = (values - lowest) / (highest - lowest)
        shown = GreyWindow("full")
    else:
        shares, shown = _by_values(words, layout, values, padding, lut, slope)
    if layout.photometric_interpretation == "MONOCHROME1" or (
        elements.text("PresentationLUTShape") == "INVERSE"
    ):
        shares = 1 - shares
    grey = np.rint(shares.clip(0, 1) * _WHITE).astype(np.uint8)
    grey[padding] = 0
    return grey, shown, choices


def _rescale(elements: Elements) -> tuple[float, float]:
    slopes, intercepts = elements.numbers("RescaleSlope"), elements.numbers("RescaleIntercept")
    slope, intercept = (slopes or [1.0])[0], (intercepts or [0.0])[0]
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise DicomUnsupported(reason="grey_scale")
    return slope, intercept


def _range(layout: Layout, slope: float, intercept: float) -> tuple[float, float]:
    """Return the lowest and the highest value that the stored bits can hold, rescaled."""
    lowest = -(1 << layout.bits_stored - 1) if layout.is_signed else 0
    ends = (lowest, lowest + (1 << layout.bits_stored) - 1)
    low, high = sorted(end * slope + intercept for end in ends)
    return low, high


def _windows(elements: Elements) -> list[tuple[float, float]]:
    """Return centres with their widths; one without the other is no window."""
    return list(
        zip(elements.numbers("WindowCenter"), elements.numbers("WindowWidth"), strict=False)
    )


def _apply_window(values: Values, center: float, width: float, function: Rendering) -> Values:
    """Return shares of white by C.11.2.1.2 and C.11.2.1.3; beyond 0 to 1 where they are cut off."""
    least = 1 if function == "linear" else 0
    if not (math.isfinite(center) and math.isfinite(width)) or width < least or width == 0:
        raise DicomUnsupported(reason="grey_scale")
    if function == "sigmoid":
        exponents = (-4 * (values - center) / width).clip(-700, 700)  # e**710 is no double
        return np.asarray(1 / (1 + np.exp(exponents)))
    if function == "linear_exact":
        return (values - center) / width + 0.5
    if width == 1:
        return (values > center - 0.5).astype(float)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _apply_voi_lut(lut: Lut, values: Values) -> Values:
    """Return shares of white. Tables are said to hold 16 bits that hold 12: so the highest decides.

    A table that leaves the upper half of its range to no value is taken to have a bit less.
    """
    highest = (1 << int(lut.outputs.max()).bit_length()) - 1
    outputs = lut.apply(np.rint(values.clip(-_WORD_VALUES, 2 * _WORD_VALUES)).astype(np.int64))
    return outputs / max(1, highest)


def _lut(elements: Elements, name: str, *, signed: bool) -> Lut | None:
    items = elements.items(name)
    return _read_lut(items[0], signed=signed) if items else None


def _read_lut(item: Elements, *, signed: bool) -> Lut:
    return _make_lut(item.words("LUTDescriptor"), item.bytes("LUTData"), item, signed=signed)


def _make_lut(descriptor: list[int], data: bytes, item: Elements, *, signed: bool) -> Lut:
    """Make a table of its descriptor (C.11.1.1.1) and its data, of 8 or 16 bits an entry.

    Parameters
    ----------
    signed : whether its inputs are, so the first of them is signed too
    """
    if len(descriptor) != 3:  # noqa: PLR2004
        raise DicomUnsupported(reason="grey_scale")
    entries, first, bits = descriptor
    entries = entries or _WORD_VALUES  # which its 16 bits can't say
    first -= _WORD_VALUES if signed and first > DEEP_MAX // 2 else 0
    if not 1 <= bits <= 16:  # noqa: PLR2004
        raise DicomUnsupported(reason="grey_scale")
    if bits <= _FEW_BITS and entries <= len(data) <= entries + entries % 2:
        outputs = np.frombuffer(data, np.uint8, entries)
    elif len(data) >= 2 * entries:
        outputs = np.frombuffer(data, "<u2" if item.little_endian else ">u2", entries)
    else:
        raise DicomUnsupported(reason="grey_scale")
    return Lut(first, outputs.astype(np.int64), bits)


def _by_values(
    words: Words,
    layout: Layout,
    values: Values,
    padding: NDArray[np.bool_],
    lut: Lut | None,
    slope: float,
) -> tuple[Values, GreyWindow]:
    """Return shares of white by the rule of 16-bit PNG, on all values but the padding."""
    by_word = count_values(words.array)
    patterns = words.patterns
    counts = np.bincount(patterns, by_word[: len(patterns)], len(values)).astype(np.int64)
    counts[padding] = 0
    if lut:
        levels = values.astype(np.int64)
    else:  # steps of the stored value, upwards as the values go
        levels = np.rint((values - values.min()) / abs(slope)).astype(np.int64)
    by_level = np.bincount(levels, counts, DEEP_MAX + 1).astype(np.int64)
    if not by_level.any():
        return np.zeros_like(values), GreyWindow("by_values")
    low, high = find_window_of_counts(by_level)
    if high >= FULL_SCALE and not layout.is_signed:
        low, high = 0, DEEP_MAX
    if high == low:
        return np.zeros_like(values), GreyWindow("by_values")
    origin, step = (0.0, 1.0) if lut else (float(values.min()), abs(slope))
    center, width = origin + (low + high) / 2 * step, (high - low) * step
    return (levels - low) / (high - low), GreyWindow("by_values", center, width)


def _palette(elements: Elements, bits: int) -> NDArray[np.uint8]:
    """Return the luma of each palette entry (C.7.6.3.1.5, C.7.6.3.1.6)."""
    indices = np.arange(1 << bits)
    luma = np.full(len(indices), 0x8000)
    for colour, weight in zip(("Red", "Green", "Blue"), _LUMA, strict=True):
        descriptor = elements.words(f"{colour}PaletteDescriptor")
        lut = _make_lut(descriptor, elements.bytes(f"{colour}Palette"), elements, signed=False)
        luma += weight * (lut.apply(indices) >> max(0, lut.bits - _FEW_BITS))
    return (luma >> 16).astype(np.uint8)
