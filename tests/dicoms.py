"""DICOM files built byte by byte, for tests that know every value; pydicom has no part in it."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_12 = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS_14 = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"

CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SOP_INSTANCE = "1.2.826.0.1.3680043.10.1234.1"

_LONG = ("OB", "OW", "UN", "UC", "UR", "UT", "SQ")
_VRS = {  # of the elements that tests set; all others are said with theirs
    0x00080005: "CS", 0x00080016: "UI", 0x00080018: "UI", 0x00080060: "CS", 0x00080068: "CS",
    0x00080100: "SH", 0x00100010: "PN", 0x00100020: "LO", 0x00101010: "AS", 0x00180015: "CS",
    0x00185101: "CS", 0x00200020: "CS", 0x00200060: "CS", 0x00200062: "CS", 0x00280002: "US",
    0x00280004: "CS", 0x00280006: "US", 0x00280008: "IS", 0x00280010: "US", 0x00280011: "US",
    0x00280100: "US", 0x00280101: "US", 0x00280102: "US", 0x00280103: "US", 0x00280120: "US",
    0x00280121: "US", 0x00281050: "DS", 0x00281051: "DS", 0x00281052: "DS", 0x00281053: "DS",
    0x00281056: "CS", 0x00281101: "US", 0x00281102: "US", 0x00281103: "US", 0x00281201: "OW",
    0x00281202: "OW", 0x00281203: "OW", 0x00283000: "SQ", 0x00283002: "US", 0x00283006: "OW",
    0x00283010: "SQ", 0x00540220: "SQ", 0x20500020: "CS",
}  # fmt: skip

Value = str | int | Sequence[int] | bytes | Sequence["Items"]
Items = Mapping[int, Value]


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT) -> bytes:
    """Write one element, its value padded to even length."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    value += b"" if len(value) % 2 == 0 else b"\0" if vr in ("UI", "OB", "UN") else b" "
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", len(value)) + value
    if vr in _LONG:
        return head + vr.encode() + struct.pack(f"{order}HI", 0, len(value)) + value
    return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value


def elements(values: Items, syntax: str = EXPLICIT) -> bytes:
    """Write elements in the order of their tags."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    written = b""
    for tag, value in sorted(values.items()):
        vr = _VRS.get(tag, "UN")
        if isinstance(value, str):
            octets = value.encode()
        elif isinstance(value, bytes):
            octets = value
        elif vr == "SQ":
            items = (elements(item, syntax) for item in value)  # type: ignore[union-attr]
            octets = b"".join(
                struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(item)) + item for item in items
            )
        else:
            numbers = [value] if isinstance(value, int) else list(value)
            octets = b"".join(struct.pack(f"{order}H", number & 0xFFFF) for number in numbers)  # type: ignore[operator]
        written += element(tag, vr, octets, syntax)
    return written


def file_meta(syntax: str, sop_class: str = CR) -> bytes:
    """Write what stands before a data set: 128 zeros, DICM, group 0002."""
    group = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", sop_class.encode())
        + element(0x00020003, "UI", SOP_INSTANCE.encode())
        + element(0x00020010, "UI", syntax.encode())
    )
    length = element(0x00020000, "UL", struct.pack("<I", len(group)))
    return bytes(128) + b"DICM" + length + group


def header(
    pixels: NDArray[np.generic], bits: int | None = None, sop_class: str = CR, **more: Value
) -> dict[int, Value]:
    """Return the elements of an image; `more` are named `x00281050` and win."""
    allocated = 8 * pixels.itemsize
    stored = bits or allocated
    values: dict[int, Value] = {
        0x00080016: sop_class,
        0x00080018: SOP_INSTANCE,
        0x00080060: "DX" if sop_class == DX else "CR",
        0x00280002: 1 if pixels.ndim == 2 else 3,
        0x00280004: "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        0x00280010: pixels.shape[0],
        0x00280011: pixels.shape[1],
        0x00280100: allocated,
        0x00280101: stored,
        0x00280102: stored - 1,
        0x00280103: int(np.issubdtype(pixels.dtype, np.signedinteger)),
    }
    return values | {int(name[1:], 16): value for name, value in more.items()}


def native(
    pixels: NDArray[np.generic],
    bits: int | None = None,
    syntax: str = EXPLICIT,
    sop_class: str = CR,
    **more: Value,
) -> bytes:
    """Write an image that is not compressed."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    stored = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    vr = "OW" if pixels.itemsize == 2 else "OB"
    return (
        file_meta(syntax, sop_class)
        + elements(header(pixels, bits, sop_class, **more), syntax)
        + element(0x7FE00010, vr, stored, syntax)
    )


def encapsulated(
    pixels: NDArray[np.generic],
    codestream: bytes | Sequence[bytes],
    syntax: str,
    bits: int | None = None,
    sop_class: str = CR,
    **more: Value,
) -> bytes:
    """Write an image whose pixels are compressed, in one fragment or several (PS3.5 annex A.4)."""
    fragments = [codestream] if isinstance(codestream, bytes) else codestream
    return (
        file_meta(syntax, sop_class)
        + elements(header(pixels, bits, sop_class, **more))
        + encapsulate(fragments)
    )


def encapsulate(fragments: Sequence[bytes]) -> bytes:
    """Write the pixels' element of fragments, behind an empty table of offsets."""
    items = [b"", *(each + b"\0" * (len(each) % 2) for each in fragments)]
    return (
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )


def rle(pixels: NDArray[np.generic]) -> bytes:
    """Write a frame in RLE (PS3.5 annex G): a segment for each byte of each sample."""
    planes = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    segments = []
    for sample in range(planes.shape[2]):
        words = np.ascontiguousarray(planes[..., sample]).view(np.uint8)
        for byte in reversed(range(pixels.itemsize)):
            rows = words[:, byte :: pixels.itemsize]
            packed = b"".join(_pack_bits(row.tobytes()) for row in rows)
            segments.append(packed + b"\0" * (len(packed) % 2))
    offsets = [64 + sum(map(len, segments[:index])) for index in range(len(segments))]
    table = [len(segments), *offsets, *[0] * (15 - len(segments))]
    return struct.pack("<16I", *table) + b"".join(segments)


def _pack_bits(row: bytes) -> bytes:
    """Write runs of four or more as runs, all else as it is."""
    packed, literal, at = b"", b"", 0
    while at < len(row):
        run = 1
        while run < 128 and row[at : at + 1] == row[at + run : at + run + 1]:
            run += 1
        if run >= 4 or len(literal) == 128:
            packed += bytes([len(literal) - 1]) + literal if literal else b""
            literal = b""
        if run >= 4:
            packed += bytes([257 - run, row[at]])
            at += run
        else:
            literal += row[at : at + 1]
            at += 1
    return packed + (bytes([len(literal) - 1]) + literal if literal else b"")
