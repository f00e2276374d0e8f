"""app.image.png: which PNGs take the faster decoder, and that they come out as Pillow has them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from app.errors import ImageTooManyPixels, ImageTruncated, ImageUndecodable
from app.image import png
from app.image.decode import decode
from app.image.grey_image import Limits
from tests.images import (
    GREY,
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


def parts(data: bytes) -> list[png.Chunk]:
    chunks = png.read_chunks(data, MOST)
    assert chunks is not None
    return chunks


def is_plain(data: bytes) -> bool:
    header = png.read_header(parts(data))
    return header is not None and png.is_plain(data, header, parts(data))


def samples_of(data: bytes) -> np.ndarray:
    header = png.read_header(parts(data))
    assert header is not None
    if header.bits == 16:
        samples = png.decode_deep(header, parts(data))
        assert samples is not None
        return samples[..., 0] if samples.shape[2] == 1 else samples
    assert png.is_plain(data, header, parts(data))
    plain = png.decode_plain(data, header)
    assert plain is not None
    return plain


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
    assert not is_plain(bomb_png(side))  # by Pillow, beside which others run
    assert decode(bomb_png(side)).pixels.shape == (side, side)


def test_a_large_film_of_16_bits_reads_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = png_chunk(b"tRNS", struct.pack(">H", 1500))
    data = build_png(smooth(80, 70, 4095).clip(0, 4095).astype(np.uint16), 16, extra=clear)
    small = decode(data).pixels
    monkeypatch.setattr(png, "_FEW_SAMPLES", 0)
    assert np.array_equal(decode(data).pixels, small)


@pytest.mark.parametrize(("colour", "most"), [(RGB, 10_000_000), (6, 7_500_000)])
def test_colour_of_16_bits_is_bounded_by_its_samples(colour: int, most: int) -> None:
    head = struct.pack(">IIBBBBB", 4000, most // 4000 + 1, 16, colour, 0, 0, 0)
    data = PNG_SIGNATURE + png_chunk(b"IHDR", head) + png_chunk(b"IDAT") + png_chunk(b"IEND")
    with pytest.raises(ImageTooManyPixels) as refusal:
        decode(data)
    assert refusal.value.facts == {"max_pixels": most}


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
        pytest.param(encode(Image.new("1", (64, 64)), "PNG"), id="1 bit"),
        pytest.param(encode(Image.new("P", (64, 64)), "PNG"), id="palette"),
        pytest.param(build_png(noise(9, 9), extra=png_chunk(b"iCCP", b"x")), id="colour profile"),
        pytest.param(build_png(noise(9, 9), extra=png_chunk(b"abCD")), id="unknown chunk"),
        pytest.param(PNG_SIGNATURE + png_chunk(b"IHDR", b"")[:4], id="cut"),
    ],
)
def test_what_may_be_shown_otherwise_is_left_to_pillow(data: bytes) -> None:
    assert not is_plain(data)


def test_a_size_that_no_checksum_vouches_for_is_not_believed() -> None:
    data = bytearray(build_png(noise(64, 64)))
    data[16] ^= 1  # the width's first byte
    assert png.read_header(parts(bytes(data))) is None


def test_a_plain_text_does_not_matter() -> None:
    data = with_text("Software", "of an exporter")
    assert is_plain(data)
    assert png.read_header(parts(data)) == png.Header(64, 64, 8, GREY, interlaced=False)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [b"", png_chunk(b"abCD")])
def test_pixels_whose_checksum_is_wrong_are_damaged(bits: int, extra: bytes) -> None:
    data = bytearray(build_png(noise(64, 64), bits, extra=extra))
    data[-14] ^= 1  # in the checksum of IDAT, before IEND's 12 bytes
    with pytest.raises(ImageUndecodable):
        decode(bytes(data))


def test_a_refusal_is_pillows_and_typed() -> None:
    data = build_png(noise(96, 96))
    with pytest.raises(ImageTruncated):
        decode(data[: len(data) // 2])


def test_what_follows_the_end_is_not_walked_through() -> None:
    data = build_png(noise(9, 9))
    names = [chunk.name for chunk in parts(data + b"\0" * 12 * MOST)]
    assert names == [b"IHDR", b"IDAT", b"IEND"]
    assert png.read_chunks(data, 2) is None


# ---------------------------------------------------------------- 16 bits, every colour type

DEEP = np.random.default_rng(0).integers(0, 2**16, (40, 50, 4)).astype(np.uint16)


def interlaced_rows(samples: np.ndarray) -> bytes:
    """Pack 16-bit samples [height, width, channels] as Adam7's seven images (PNG section 8.2)."""
    packed = b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):  # fmt: skip
        part = samples[top::down, left::right].astype(">u2")
        packed += b"".join(b"\0" + row.tobytes() for row in part)
    return packed


@pytest.mark.parametrize("interlacing", [False, True])
@pytest.mark.parametrize(
    ("colour", "channels"), [(GREY, [0]), (RGB, [0, 1, 2]), (GREY_ALPHA, [0, 3]), (6, [0, 1, 2, 3])]
)
def test_16_bits_are_read_at_full_depth_over_black(
    colour: int, channels: list[int], interlacing: bool
) -> None:
    samples = DEEP[..., channels]
    data = build_png(samples if len(channels) > 1 else samples[..., 0], 16, colour)
    if interlacing:
        head = struct.pack(">IIBBBBB", 50, 40, 16, colour, 0, 0, 1)
        pixels = png_chunk(b"IDAT", zlib.compress(interlaced_rows(samples)))
        data = PNG_SIGNATURE + png_chunk(b"IHDR", head) + pixels + png_chunk(b"IEND")
    expected = samples.astype(float)
    if colour in (GREY_ALPHA, 6):
        expected = np.rint(expected[..., :-1] * expected[..., -1:] / 65535)
    deep = samples_of(data)
    assert np.array_equal(deep if deep.ndim == 3 else deep[..., None], expected)


def test_the_transparent_colour_of_16_bits_is_black() -> None:
    samples = np.array([[[7, 8, 9], [7, 8, 10]]])
    clear = png_chunk(b"tRNS", struct.pack(">HHH", 7, 8, 9))
    assert samples_of(build_png(samples, 16, RGB, clear)).tolist() == [[[0, 0, 0], [7, 8, 10]]]


def test_12_bits_read_the_same_as_grey_and_as_colour() -> None:
    grey = (smooth(80, 70, 4095)).clip(0, 4095).astype(np.uint16)
    as_grey = decode(build_png(grey, 16)).pixels
    as_colour = decode(build_png(np.dstack([grey] * 3), 16, RGB)).pixels
    opaque = decode(build_png(np.dstack([grey, np.full_like(grey, 65535)]), 16, GREY_ALPHA)).pixels
    assert np.array_equal(as_grey, as_colour)
    assert np.array_equal(as_grey, opaque)
    assert len(np.unique(as_grey)) > 200


def test_unknown_chunks_and_rotation_do_not_cost_depth() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    turned = png_chunk(b"eXIf", exif.tobytes()[6:]) + png_chunk(b"abCD")
    grey = smooth(80, 70, 4095).clip(0, 4095).astype(np.uint16)
    colour = np.dstack([grey] * 3)
    upside_down = decode(build_png(colour, 16, RGB, turned)).pixels
    assert np.array_equal(upside_down[::-1, ::-1], decode(build_png(grey, 16)).pixels)


# ---------------------------------------------------------------- gAMA


def gamma_chunk(gamma: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [b"", png_chunk(b"abCD")])  # either decoder
def test_linear_light_becomes_grey_levels(bits: int, extra: bytes) -> None:
    most = 2**bits - 1
    levels = np.linspace(0, 1, 70 * 70).reshape(70, 70)
    linear = np.rint(levels**2.2 * most).astype(np.uint16)
    plain = np.rint(levels * most).astype(np.uint16)
    read = decode(build_png(linear, bits, extra=gamma_chunk(1.0) + extra)).pixels.astype(int)
    meant = decode(build_png(plain, bits)).pixels
    bright = levels > 0.2  # below, 8 bits of linear light are coarse
    assert np.abs(read - meant)[bright].max() <= (3 if bits == 8 else 1)


@pytest.mark.parametrize(
    "extra",
    [
        gamma_chunk(0.45455),
        gamma_chunk(0.44),
        gamma_chunk(0),
        png_chunk(b"gAMA", struct.pack(">I", 1)),
        gamma_chunk(9000),
        gamma_chunk(1.0) + png_chunk(b"sRGB", b"\0"),
        png_chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile")) + gamma_chunk(1.0),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_displays_gamma_or_a_colour_space_leaves_pixels_as_they_are(
    extra: bytes, bits: int
) -> None:
    samples = noise(64, 64).astype(np.uint16) * (1 if bits == 8 else 257)
    assert np.array_equal(decode(build_png(samples, bits, extra=extra)).pixels, noise(64, 64))


@pytest.mark.parametrize("shape", [(64, 64), (224, 224), (65, 333)])
def test_grey_pixels_that_were_written_are_read_again(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    data = png.encode_grey(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert np.array_equal(decode(data).pixels, pixels)
    assert data == png.encode_grey(pixels.copy())
