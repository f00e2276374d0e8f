"""The pixels as they are stored: how they are laid out (PS3.3 C.7.6.3), and their words."""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.errors import DicomUnsupported, ImageTruncated, ImageUndecodable
from app.image.dicom.dataset import Elements

GREY: Final = ("MONOCHROME1", "MONOCHROME2")
PALETTE: Final = "PALETTE COLOR"
LUMA_FIRST: Final = ("YBR_FULL", "YBR_FULL_422")
"""Colours whose first sample is the luma."""
RGB: Final = ("RGB", "YBR_RCT", "YBR_ICT")
"""Colours that are RGB once they are decoded."""

_WORD_BITS: Final = (8, 16)
_COLOURS: Final = 3
_UNDEFINED: Final = 0xFFFFFFFF
_LONG_VRS: Final = (b"OB", b"OW", b"UN")


@dataclass(frozen=True, slots=True)
class Layout:
    """How pixels are stored; in bits, pixels, samples of a pixel."""

    rows: int
    columns: int
    samples: int
    photometric_interpretation: str
    is_planar: bool
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool


@dataclass(frozen=True, slots=True)
class Words:
    """Words that hold one stored value each, `bits` of it from the bit `shift` on.

    Attributes
    ----------
    array : uint8 or uint16 [height, width]
    """

    array: NDArray[Any]
    bits: int
    shift: int = 0

    @property
    def patterns(self) -> NDArray[np.int64]:
        """Return for each word the bits of its stored value, as a number without sign."""
        return (np.arange(1 << 8 * self.array.itemsize) >> self.shift) & ((1 << self.bits) - 1)


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The value of Pixel Data (7FE0,0010); encapsulated where the length is undefined."""

    value: memoryview
    is_encapsulated: bool
    vr: bytes


def read_layout(elements: Elements) -> Layout:
    """Read the Image Pixel module.

    Raises
    ------
    ImageUndecodable
        If a part of it is missing or contradicts another.
    DicomUnsupported
        If the image is of several frames, or of pixels that are not read.
    """
    frames = elements.text("NumberOfFrames")
    if frames not in ("", "0", "1") and not (frames.isdecimal() and int(frames[:9]) == 1):
        raise DicomUnsupported(reason="multi_frame")
    needed = {
        name: elements.word(name)
        for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
    }
    numbers = {name: number for name, number in needed.items() if number is not None}
    if len(numbers) < len(needed):
        raise ImageUndecodable(format="DICOM")
    high_bit = elements.word("HighBit")
    layout = Layout(
        rows=numbers["Rows"],
        columns=numbers["Columns"],
        samples=elements.word("SamplesPerPixel") or 1,
        photometric_interpretation=elements.text("PhotometricInterpretation"),
        is_planar=elements.word("PlanarConfiguration") == 1,
        bits_allocated=numbers["BitsAllocated"],
        bits_stored=numbers["BitsStored"],
        high_bit=numbers["BitsStored"] - 1 if high_bit is None else high_bit,
        is_signed=numbers["PixelRepresentation"] == 1,
    )
    _check(layout)
    return layout


def _check(layout: Layout) -> None:
    if layout.photometric_interpretation in GREY:
        is_read = layout.samples == 1
    elif layout.photometric_interpretation == PALETTE:
        is_read = layout.samples == 1 and not layout.is_signed
    else:
        colour = layout.photometric_interpretation in LUMA_FIRST + RGB
        is_read = colour and layout.samples == _COLOURS and layout.bits_allocated == 8  # noqa: PLR2004
    if not is_read or layout.bits_allocated not in _WORD_BITS:
        raise DicomUnsupported(reason="pixels")
    if not 1 <= layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated:
        raise ImageUndecodable(format="DICOM")


def read_pixel_element(
    data: bytes, at: int, *, little_endian: bool, encapsulated: bool
) -> PixelElement:
    """Read the element of the pixels, which begins at `at`.

    Raises
    ------
    ImageTruncated
        If the file ends before it does.
    ImageUndecodable
        If it isn't encapsulated and should be, or the other way.
    """
    order = "<" if little_endian else ">"
    vr, start = data[at + 4 : at + 6], at + 8
    if vr in _LONG_VRS:  # explicit VR; a length could not be so large
        start = at + 12
    if start > len(data):
        raise ImageTruncated
    (length,) = struct.unpack_from(f"{order}I", data, start - 4)
    value = memoryview(data)[start:]
    if (length == _UNDEFINED) != encapsulated:
        raise ImageUndecodable(format="DICOM")
    if length == _UNDEFINED:
        return PixelElement(value, is_encapsulated=True, vr=vr)
    if length > len(value):
        raise ImageTruncated
    return PixelElement(value[:length], is_encapsulated=False, vr=vr)


def native_samples(layout: Layout, element: PixelElement, *, little_endian: bool) -> NDArray[Any]:
    """Return pixels that are not compressed, as they stand in the file.

    Returns
    -------
    uint8 or uint16 [height, width], or uint8 [height, width, 3]; of YBR_FULL_422 the luma alone

    Raises
    ------
    ImageTruncated, ImageUndecodable
        If the pixels' length is not that of rows and columns.
    """
    pixels = layout.rows * layout.columns
    subsampled = layout.photometric_interpretation == "YBR_FULL_422"
    size = pixels * (2 if subsampled else layout.samples) * layout.bits_allocated // 8
    if len(element.value) < size:
        raise ImageTruncated
    if len(element.value) > size + size % 2:
        raise ImageUndecodable(format="DICOM")
    if layout.bits_allocated == 16:  # noqa: PLR2004
        words = np.frombuffer(element.value, "<u2" if little_endian else ">u2", pixels)
        return words.reshape(layout.rows, layout.columns)
    if not little_endian and element.vr == b"OW":  # two pixels a word, the first in its low byte
        swapped = np.frombuffer(element.value, ">u2").astype("<u2")
        octets = swapped.view(np.uint8)[:size]
    else:
        octets = np.frombuffer(element.value, np.uint8, size)
    if subsampled:  # two pixels are stored as Y Y Cb Cr
        if layout.columns % 2:
            raise ImageUndecodable(format="DICOM")
        return octets.reshape(-1, 4)[:, :2].reshape(layout.rows, layout.columns)
    if layout.samples == 1:
        return octets.reshape(layout.rows, layout.columns)
    if layout.is_planar:
        return octets.reshape(_COLOURS, layout.rows, layout.columns).transpose(1, 2, 0)
    return octets.reshape(layout.rows, layout.columns, _COLOURS)


def read_padding(
    elements: Elements, stored: NDArray[np.int64], *, signed: bool
) -> NDArray[np.bool_]:
    """Return which stored values are padding: one, or a range (PS3.3 C.7.5.1.1.2)."""
    value = elements.word("PixelPaddingValue", signed=signed)
    if value is None:
        return np.zeros(len(stored), np.bool_)
    limit = elements.word("PixelPaddingRangeLimit", signed=signed)
    low, high = sorted((value, value if limit is None else limit))
    return (stored >= low) & (stored <= high)
