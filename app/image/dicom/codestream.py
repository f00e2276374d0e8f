"""Compressed pixels: the fragments put together, and what their codestream says of itself.

Read before any decoder is called, which would believe it.
"""

import struct
from dataclasses import dataclass
from typing import Final

from app.errors import DicomUnsupported, ImageTruncated, ImageUndecodable
from app.image.dicom.file_meta import Coding
from app.image.dicom.pixels import Layout

_ITEM: Final = 0xFFFEE000
_DELIMITER: Final = 0xFFFEE0DD
_MAX_FRAGMENTS: Final = 20_000
_ITEM_HEAD: Final = struct.Struct("<HHI")

_MAX_SEGMENTS: Final = 20_000
_LOSSLESS: Final = 0xC3
_JPEG_FRAMES: Final = (0xC0, 0xC1, 0xC2, _LOSSLESS)  # ITU-T T.81 table B.1
_JPEG_LS_FRAME: Final = 0xF7  # ITU-T T.87 annex C
_JPEG_FRAME: Final = struct.Struct(">BHHB")
_END_OF_IMAGE: Final = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
_MOST_PADDING: Final = 16  # behind it; some pad with zeros, some with FF

_SOC_SIZ: Final = b"\xff\x4f\xff\x51"  # ITU-T T.800 annex A
_BOXED: Final = b"\0\0\0\x0cjP  "  # a JP2 file, which some write around the codestream
_MAX_BOXES: Final = 4096
_SIZ: Final = struct.Struct(">HHIIIIIIIIH")
_COD: Final = b"\xff\x52"
_LEVELS_AT: Final = 9
_MOST_LEVELS: Final = 32
_MAX_TILES: Final = 4096

_RLE_HEADER: Final = struct.Struct("<16I")  # PS3.5 annex G


@dataclass(frozen=True, slots=True)
class Codestream:
    """One frame, and its head.

    Attributes
    ----------
    bits : of a sample
    levels : how often its resolution may be halved while it is decoded
    is_lossless_jpeg : for which the decoder of common JPEGs is not made
    """

    data: bytes
    width: int
    height: int
    components: int
    bits: int
    is_signed: bool = False
    levels: int = 0
    tiles: int = 1
    is_lossless_jpeg: bool = False


def join_fragments(value: memoryview) -> bytes:
    """Return the one frame of an encapsulated value (PS3.5 annex A.4).

    Raises
    ------
    ImageTruncated
        If the file ends before the sequence of fragments does.
    ImageUndecodable
        If it is no such sequence.
    """
    fragments: list[memoryview] = []
    at = 0
    while len(fragments) <= _MAX_FRAGMENTS:
        if at + _ITEM_HEAD.size > len(value):
            raise ImageTruncated
        group, element, length = _ITEM_HEAD.unpack_from(value, at)
        at += _ITEM_HEAD.size
        tag = group << 16 | element
        if tag == _DELIMITER:
            break
        if tag != _ITEM:
            raise ImageUndecodable(format="DICOM")
        if at + length > len(value):
            raise ImageTruncated
        fragments.append(value[at : at + length])
        at += length
    else:
        raise ImageUndecodable(format="DICOM")
    return b"".join(fragments[1:])  # the first is the table of offsets


def read_codestream(data: bytes, coding: Coding, layout: Layout) -> Codestream:
    """Read the head of a frame and hold it to what the tags say.

    Raises
    ------
    ImageTruncated
        If its end is missing.
    ImageUndecodable
        If it has no head, or one that contradicts the tags.
    DicomUnsupported
        If its components differ in size or depth, or tiles are too many.
    """
    if coding == "rle":
        return _read_rle(data, layout)
    if _END_OF_IMAGE not in data[-_MOST_PADDING:]:
        raise ImageTruncated
    try:
        if coding == "jpeg_2000":
            codestream = _read_jpeg_2000(data)
        else:
            codestream = _read_jpeg(
                data, (_JPEG_LS_FRAME,) if coding == "jpeg_ls" else _JPEG_FRAMES
            )
    except (struct.error, IndexError):
        raise ImageUndecodable(format="DICOM") from None
    said = (codestream.width, codestream.height, codestream.components)
    if said != (layout.columns, layout.rows, layout.samples):
        raise ImageUndecodable(format="DICOM")
    if codestream.bits > layout.bits_allocated or (codestream.is_signed and not layout.is_signed):
        raise ImageUndecodable(format="DICOM")
    if codestream.tiles > _MAX_TILES:
        raise DicomUnsupported(reason="pixels")
    return codestream


def _read_rle(data: bytes, layout: Layout) -> Codestream:
    """Hold the table of segments to the tags; it says no size (PS3.5 section G.5)."""
    if len(data) < _RLE_HEADER.size:
        raise ImageTruncated
    count, *offsets = _RLE_HEADER.unpack_from(data)
    segments = layout.samples * layout.bits_allocated // 8
    if count != segments or offsets[0] != _RLE_HEADER.size:
        raise ImageUndecodable(format="DICOM")
    if sorted(offsets[:count]) != offsets[:count] or offsets[count - 1] >= len(data):
        raise ImageUndecodable(format="DICOM")
    return Codestream(data, layout.columns, layout.rows, layout.samples, layout.bits_allocated)


def _read_jpeg(data: bytes, frames: tuple[int, ...]) -> Codestream:
    """Walk the segments up to the frame's (ITU-T T.81 B.2.2)."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at] != 0xFF:  # noqa: PLR2004
            break
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in frames:
            bits, height, width, components = _JPEG_FRAME.unpack_from(data, at + 4)
            lossless = marker == _LOSSLESS
            return Codestream(data, width, height, components, bits, is_lossless_jpeg=lossless)
        at += 2 + max(2, length)
    raise ImageUndecodable(format="DICOM")


def _read_jpeg_2000(data: bytes) -> Codestream:
    """Read SIZ, and COD where it follows it (ITU-T T.800 A.5.1, A.6.1)."""
    start = data.find(_SOC_SIZ, 0, _MAX_BOXES) if data.startswith(_BOXED) else 0
    if start < 0 or not data.startswith(_SOC_SIZ, start):
        raise ImageUndecodable(format="DICOM")
    length, _, right, bottom, left, top, tile_width, tile_height, _, _, components = (
        _SIZ.unpack_from(data, start + 4)
    )
    sizes = start + 4 + _SIZ.size
    parts = {data[sizes + 3 * each : sizes + 3 * each + 3] for each in range(components)}
    if len(parts) != 1:
        raise DicomUnsupported(reason="pixels")
    depth, step_across, step_down = parts.pop()
    if (step_across, step_down) != (1, 1) or not tile_width or not tile_height:
        raise DicomUnsupported(reason="pixels")
    at = start + 4 + length
    levels = 0
    for _ in range(_MAX_SEGMENTS):
        if data.startswith(_COD, at):
            levels = min(data[at + _LEVELS_AT], _MOST_LEVELS)
            break
        if data[at] != 0xFF or data[at + 1] == 0x90:  # noqa: PLR2004 - the first tile
            break
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return Codestream(
        data[start:],
        right - left,
        bottom - top,
        components,
        (depth & 0x7F) + 1,
        is_signed=bool(depth & 0x80),
        levels=levels if (left, top) == (0, 0) else 0,
        tiles=-(-right // tile_width) * -(-bottom // tile_height),
    )
