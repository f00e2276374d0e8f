"""app.image.png: which PNGs take the faster decoder, and that they come out as Pillow has them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from app.errors import ImageTruncated
from app.image import png
from app.image.decode import Limits, decode
from tests.images import (
    GREY_ALPHA,
    PNG_SIGNATURE,
    RGB,
    bomb_png,
    build_png,
    encode,
    noise,
    png_chunk,
    png_pixels,
)

MOST = 1000
TINY = Limits(min_side_px=1)


def header_of(data: bytes) -> png.Header | None:
    chunks = png.list_chunks(data, MOST)
    assert chunks is not None
    return png.read_plain_header(data, chunks)


def samples_of(data: bytes) -> np.ndarray:
    header = header_of(data)
    assert header is not None
    samples = png.decode_plain(data, header)
    assert samples is not None
    return samples


def pillows(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def smooth(height: int, width: int, scale: float) -> np.ndarray:
    """Waves with grain: an encoder that chooses takes every filter for some row."""
    rows, columns = np.mgrid[:height, :width]
    waves = 0.5 + 0.4 * np.sin(rows / 37) * np.cos(columns / 23)
    return np.asarray(waves * scale + noise(height, width) / 16)


def filtered_rows(samples: np.ndarray) -> list[bytes]:
    """Pack 8-bit rows, each by the next of PNG's five filters (PNG section 9.2)."""
    rows, before = [], np.zeros(samples.shape[1] + 1, int)
    for number, row in enumerate(samples.astype(int)):
        here = np.concatenate([[0], row])
        left, up, corner = here[:-1], before[1:], before[:-1]
        guess = left + up - corner
        paeth = np.select(
            [
                (abs(guess - left) <= abs(guess - up)) & (abs(guess - left) <= abs(guess - corner)),
                abs(guess - up) <= abs(guess - corner),
            ],
            [left, up],
            corner,
        )
        kind = number % 5
        predicted = [0 * row, left, up, (left + up) // 2, paeth][kind]
        rows.append(bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes())
        before = here
    return rows


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(noise(70, 91), "PNG"), id="grain"),
        pytest.param(encode(smooth(300, 211, 255).astype(np.uint8), "PNG"), id="8 bit"),
        pytest.param(encode(smooth(300, 211, 4095).astype(np.uint16), "PNG"), id="12 in 16 bit"),
        pytest.param(encode(smooth(300, 211, 65_000).astype(np.uint16), "PNG"), id="16 bit"),
        pytest.param(encode(np.dstack([noise(60, 50, n) for n in range(3)]), "PNG"), id="RGB"),
        pytest.param(encode(noise(700, 700), "PNG", compress_level=0), id="stored, many IDAT"),
        pytest.param(encode(noise(64, 64), "PNG", dpi=(300, 300)), id="pHYs"),
    ],
)
def test_samples_are_pillows(data: bytes) -> None:
    assert np.array_equal(samples_of(data), pillows(data))


def test_every_filter_is_undone() -> None:
    samples = smooth(40, 33, 255).astype(np.uint8)
    rows = b"".join(filtered_rows(samples))
    raw = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND")
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 33, 40, 8, 0, 0, 0, 0))
    data = PNG_SIGNATURE + header + raw
    assert pillows(data).shape == samples.shape
    assert np.array_equal(samples_of(data), samples)


def test_colour_becomes_grey_by_luma() -> None:
    data = encode(np.dstack([noise(60, 50, number) for number in range(3)]), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decode(data, TINY).pixels, np.asarray(image.convert("L")))


def test_49_million_pixels_are_decoded() -> None:
    side = 7000
    assert samples_of(bomb_png(side)).shape == (side, side)


def with_text(key: str, value: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value)
    return encode(Image.fromarray(noise(64, 64)), "PNG", pnginfo=info)


def turned() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encode(noise(64, 64), "PNG", exif=exif)


def interlaced() -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1))
    return PNG_SIGNATURE + header + png_pixels([b"\x0a", b"\x14", b"\x1e\x28"])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(interlaced(), id="interlaced"),
        pytest.param(turned(), id="EXIF"),
        pytest.param(with_text("Raw profile type exif", "turned"), id="EXIF as a text"),
        pytest.param(with_text("XML:com.adobe.xmp", "turned"), id="XMP as a text"),
        pytest.param(build_png(noise(9, 9), extra=png_chunk(b"tRNS", b"\0\7")), id="transparent"),
        pytest.param(build_png(np.zeros((9, 9, 2)), 8, GREY_ALPHA), id="alpha"),
        pytest.param(build_png(np.zeros((9, 9, 3)), 16, RGB), id="16-bit RGB"),
        pytest.param(encode(Image.new("1", (64, 64)), "PNG"), id="1 bit"),
        pytest.param(encode(Image.new("P", (64, 64)), "PNG"), id="palette"),
        pytest.param(build_png(noise(9, 9), extra=png_chunk(b"iCCP", b"x")), id="colour profile"),
        pytest.param(build_png(noise(9, 9), extra=png_chunk(b"abCD")), id="unknown chunk"),
        pytest.param(PNG_SIGNATURE + png_chunk(b"IHDR", b"")[:4], id="cut"),
    ],
)
def test_what_may_be_shown_otherwise_is_left_to_pillow(data: bytes) -> None:
    assert header_of(data) is None


def test_a_size_that_no_checksum_vouches_for_is_not_believed() -> None:
    data = bytearray(build_png(noise(64, 64)))
    data[16] ^= 1  # the width's first byte
    assert header_of(bytes(data)) is None


def test_a_plain_text_does_not_matter() -> None:
    assert header_of(with_text("Software", "of an exporter")) == png.Header(64, 64, 8, "mono", 1)


def test_pixels_whose_checksum_is_wrong_are_as_pillow_has_them() -> None:
    data = bytearray(build_png(noise(64, 64)))
    data[-14] ^= 1  # in the checksum of IDAT, before IEND's 12 bytes
    header = header_of(bytes(data))
    assert header is not None
    assert png.decode_plain(bytes(data), header) is None
    assert np.array_equal(decode(bytes(data)).pixels, noise(64, 64))


def test_a_refusal_is_pillows_and_typed() -> None:
    data = build_png(noise(96, 96))
    with pytest.raises(ImageTruncated):
        decode(data[: len(data) // 2])


def test_what_follows_the_end_is_not_walked_through() -> None:
    data = build_png(noise(9, 9))
    assert png.list_chunks(data + b"\0" * 12 * MOST, MOST) == [b"IHDR", b"IDAT", b"IEND"]
    assert png.list_chunks(data, 2) is None
