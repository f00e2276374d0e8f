"""Small image files built byte by byte or by Pillow, for tests that know every pixel."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""Colour types of PNG's IHDR."""


def encode(image: Image.Image | NDArray[np.generic], image_format: str, **options: object) -> bytes:
    """Save a Pillow image or an array as the bytes of a file."""
    file = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, image_format, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw random grey pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    """Frame one chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, bits: int = 8, colour: int = GREY) -> bytes:
    """Make the IHDR chunk."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png_pixels(rows: list[bytes]) -> bytes:
    """Make the IDAT and IEND chunks of rows already packed into bytes."""
    raw = b"".join(b"\0" + row for row in rows)
    return png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND")


def build_png(
    samples: NDArray[np.integer], bits: int = 8, colour: int = GREY, extra: bytes = b""
) -> bytes:
    """Write [height, width] or [height, width, channel] samples of 8 or 16 bits as a PNG.

    `extra` holds whole chunks to stand between IHDR and IDAT.
    """
    height, width = samples.shape[:2]
    rows = [row.astype(f">u{bits // 8}").tobytes() for row in samples]
    return PNG_SIGNATURE + png_header(width, height, bits, colour) + extra + png_pixels(rows)


def bomb_png(side: int) -> bytes:
    """Write a complete, all black, 8-bit grey PNG of `side` x `side`, some thousandth its size.

    A DEFLATE stream of identical, fully flushed blocks need be compressed only once.
    """
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    row = compressor.compress(bytes(side + 1)) + compressor.flush(zlib.Z_FULL_FLUSH)
    adler = (side * (side + 1) % 65521) << 16 | 1  # Adler-32 of side * (side + 1) zeros
    stream = b"\x78\x9c" + row * side + compressor.flush() + struct.pack(">I", adler)
    return PNG_SIGNATURE + png_header(side, side) + png_chunk(b"IDAT", stream) + png_chunk(b"IEND")


def with_jpeg_size(data: bytes, width: int, height: int) -> bytes:
    """Overwrite the size a baseline JPEG declares in its SOF0 segment."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def with_valid_checksums(png: bytes) -> bytes:
    """Recompute the checksums of a damaged PNG, so that the damage reaches the decoder."""
    return png[:8] + b"".join(_rechecked(png))


def _rechecked(png: bytes) -> Iterator[bytes]:
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            break
        yield png[at:end] + struct.pack(">I", zlib.crc32(png[at + 4 : end]))
        at = end + 4
    yield png[at:]
