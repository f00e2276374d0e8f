"""app.imaging: from the bytes of a file to the 224 x 224 image, pixel by pixel."""

import hashlib
import io
import os
import struct
import sys
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from app.errors import (
    EmptyUpload,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    RequestError,
    UnsupportedMediaType,
)
from app.imaging import GreyImage, ImageFacts, Limits, decode, resize
from tests.images import (
    GREY_ALPHA,
    PALETTE,
    PNG_SIGNATURE,
    RGB,
    RGB_ALPHA,
    bomb_png,
    build_png,
    encode,
    png_chunk,
    png_header,
    png_pixels,
    with_jpeg_size,
    with_valid_checksums,
)

Pixels = NDArray[np.uint8]
TINY = Limits(min_side_px=1)
PATIENT = b"DOE^JANE"


def grey_of(data: bytes) -> list[list[int]]:
    """Decode without a lower limit and return the pixels."""
    pixels: list[list[int]] = decode(data, TINY).pixels.tolist()
    return pixels


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def as_grey_image(pixels: Pixels) -> GreyImage:
    return GreyImage(pixels, ImageFacts("PNG", pixels.shape[1], pixels.shape[0], 8, ""))


# ---------------------------------------------------------------- what the pixels become


def test_8_bit_grey_png_is_kept_as_it_is() -> None:
    assert grey_of(build_png(np.array([[0, 10], [40, 255]]))) == [[0, 10], [40, 255]]


def test_8_bit_grey_is_not_stretched_to_the_range_it_uses() -> None:
    assert grey_of(build_png(np.array([[100, 110]]))) == [[100, 110]]


def test_grey_jpeg_of_flat_blocks_is_kept_as_it_is() -> None:
    blocks = np.array([[0, 77], [200, 255]], np.uint8).repeat(8, 0).repeat(8, 1)
    assert grey_of(encode(blocks, "JPEG", quality=100)) == blocks.tolist()


def test_16_bit_grey_stretches_the_lowest_value_to_0_and_the_highest_to_255() -> None:
    # 255 grey levels over a range of 5000 from 1000 on
    assert grey_of(build_png(np.array([[1000, 2000], [3000, 6000]]), 16)) == [[0, 51], [102, 255]]


def test_12_bit_data_in_16_bits_uses_the_whole_range() -> None:
    # 819 * 255 / 4095 = 51; read by the high byte alone it would be 3
    assert grey_of(build_png(np.array([[0, 819, 1638, 4095]]), 16)) == [[0, 51, 102, 255]]


def test_16_bit_grey_over_the_full_range_is_divided_by_257() -> None:
    samples = np.array([[0, 257, 25700, 65535]])
    assert grey_of(build_png(samples, 16)) == [[0, 1, 100, 255]]


def test_16_bit_grey_rounds_to_the_nearest_level() -> None:
    # 1 * 255 / 1000 = 0.255, 2 * 255 / 1000 = 0.51
    assert grey_of(build_png(np.array([[0, 1, 2, 1000]]), 16)) == [[0, 0, 1, 255]]


def test_16_bit_constant_image_becomes_black() -> None:
    assert grey_of(build_png(np.full((2, 2), 40_000), 16)) == [[0, 0], [0, 0]]


def test_8_bit_constant_image_keeps_its_level() -> None:
    assert grey_of(build_png(np.full((2, 2), 40))) == [[40, 40], [40, 40]]


def test_16_bit_grey_with_a_transparent_value_is_laid_over_black() -> None:
    transparent = png_chunk(b"tRNS", struct.pack(">H", 60_000))
    samples = np.array([[0, 1000, 5000, 60_000]])
    assert grey_of(build_png(samples, 16, extra=transparent)) == [[0, 51, 255, 0]]


def test_16_bit_rgb_is_read_by_its_high_byte_then_stretched() -> None:
    samples = np.array([[[0] * 3, [0x80FF] * 3, [0x8000] * 3, [0xFFFF] * 3]])
    assert grey_of(build_png(samples, 16, RGB)) == [[0, 128, 128, 255]]


def test_16_bit_rgb_becomes_grey_by_luma() -> None:
    white, red, green, blue = [0xFFFF] * 3, [0xFFFF, 0, 0], [0, 0xFFFF, 0], [0, 0, 0xFFFF]
    samples = np.array([[[0, 0, 0], red, green, blue, white]])
    assert grey_of(build_png(samples, 16, RGB)) == [[0, 76, 150, 29, 255]]


def test_16_bit_rgb_of_low_contrast_is_stretched() -> None:
    samples = np.array([[[0x6400] * 3, [0x6500] * 3, [0x6900] * 3]])  # 100, 101, 105
    assert grey_of(build_png(samples, 16, RGB)) == [[0, 51, 255]]


def test_16_bit_grey_with_alpha_is_laid_over_black() -> None:
    opaque, half, clear = 0xFFFF, 0x8000, 0
    samples = np.array(
        [[[0xFFFF, opaque], [0xFFFF, half], [0xFFFF, clear], [0x8000, opaque], [0, opaque]]]
    )
    assert grey_of(build_png(samples, 16, GREY_ALPHA)) == [[255, 128, 0, 128, 0]]


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("colour", "luma"),  # 0.299 R + 0.587 G + 0.114 B
    [
        ((255, 255, 255), 255),
        ((255, 0, 0), 76),
        ((0, 255, 0), 150),
        ((0, 0, 255), 29),
        ((200, 100, 50), 124),
    ],
)
def test_colour_becomes_grey_by_luma(
    image_format: str, colour: tuple[int, int, int], luma: int
) -> None:
    flat = Image.new("RGB", (8, 8), colour)
    pixels = decode(encode(flat, image_format, quality=100), TINY).pixels.astype(int)
    assert abs(pixels - luma).max() <= (1 if image_format == "JPEG" else 0)


def test_jpeg_stored_as_rgb_gives_luma_too() -> None:
    flat = Image.new("RGB", (8, 8), (200, 100, 50))
    pixels = decode(encode(flat, "JPEG", quality=100, keep_rgb=True), TINY).pixels.astype(int)
    assert abs(pixels - 124).max() <= 1


@pytest.mark.parametrize(
    ("ink", "grey"),
    [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 155), 100), ((255, 0, 0, 0), 179)],
)
def test_cmyk_jpeg_is_read_as_ink_on_white(ink: tuple[int, int, int, int], grey: int) -> None:
    pixels = decode(encode(Image.new("CMYK", (8, 8), ink), "JPEG", quality=100), TINY).pixels
    assert abs(pixels.astype(int) - grey).max() <= 1


def test_palette_png_is_read_by_its_colours_not_its_indices() -> None:
    colours = png_chunk(b"PLTE", bytes([9, 9, 9, 255, 0, 0, 0, 255, 0, 200, 200, 200]))
    assert grey_of(build_png(np.array([[0, 1, 2, 3]]), 8, PALETTE, colours)) == [[9, 76, 150, 200]]


def test_palette_with_transparency_is_laid_over_black() -> None:
    colours = png_chunk(b"PLTE", bytes([200, 200, 200] * 3))
    alphas = png_chunk(b"tRNS", bytes([255, 0, 128]))
    data = build_png(np.array([[0, 1, 2]]), 8, PALETTE, colours + alphas)
    assert grey_of(data) == [[200, 0, 100]]


def test_8_bit_grey_with_a_transparent_value_is_laid_over_black() -> None:
    transparent = png_chunk(b"tRNS", struct.pack(">H", 200))
    assert grey_of(build_png(np.array([[0, 100, 200]]), extra=transparent)) == [[0, 100, 0]]


def test_rgb_with_alpha_is_laid_over_black() -> None:
    samples = np.array([[[255, 255, 255, 128], [255, 255, 255, 0], [200, 100, 50, 255]]])
    assert grey_of(build_png(samples, 8, RGB_ALPHA)) == [[128, 0, 124]]


def test_grey_with_alpha_is_laid_over_black() -> None:
    samples = np.array([[[200, 255], [200, 128], [200, 0]]])
    assert grey_of(build_png(samples, 8, GREY_ALPHA)) == [[200, 100, 0]]


def test_1_bit_png_becomes_black_and_white() -> None:
    data = PNG_SIGNATURE + png_header(8, 1, bits=1) + png_pixels([b"\xa5"])
    assert grey_of(data) == [[255, 0, 255, 0, 0, 255, 0, 255]]


@pytest.mark.parametrize(
    ("bits", "row", "expected"),
    [(2, b"\x1b", [0, 85, 170, 255]), (4, b"\x0f\x37", [0, 255, 51, 119])],
)
def test_2_and_4_bit_grey_are_scaled_to_the_full_range(
    bits: int, row: bytes, expected: list[int]
) -> None:
    data = PNG_SIGNATURE + png_header(4, 1, bits) + png_pixels([row])
    assert grey_of(data) == [expected]


def test_interlaced_png_gives_the_pixels_in_their_places() -> None:
    # Adam7 on 2 x 2: pass 1 holds (0, 0), pass 6 (0, 1), pass 7 the second row.
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1))
    data = PNG_SIGNATURE + header + png_pixels([b"\x0a", b"\x14", b"\x1e\x28"])
    assert grey_of(data) == [[10, 20], [30, 40]]


# ---------------------------------------------------------------- EXIF orientation

UPRIGHT = np.array([[10, 60, 110], [160, 210, 250]], np.uint8).repeat(16, 0).repeat(16, 1)
STORED = {  # where the 0th row and the 0th column are seen: EXIF 2.32, 4.6.4.A, tag 0x0112
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


def stored_sideways(
    orientation: int, image_format: str, scale: int = 1, dtype: type[np.generic] = np.uint8
) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = STORED[orientation].repeat(scale, 0).repeat(scale, 1).astype(dtype)
    return encode(np.ascontiguousarray(stored), image_format, quality=100, exif=exif)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone(orientation: int, image_format: str) -> None:
    image = decode(stored_sideways(orientation, image_format), TINY)
    assert image.pixels.tolist() == UPRIGHT.tolist()
    assert (image.facts.width, image.facts.height) == (48, 32)


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone_in_16_bit_grey(orientation: int) -> None:
    pixels = decode(stored_sideways(orientation, "PNG", dtype=np.uint16), TINY).pixels
    stretched = np.rint((UPRIGHT.astype(float) - 10) * 255 / 240)
    assert pixels.tolist() == stretched.tolist()


@pytest.mark.parametrize("orientation", [1, 6])
def test_facts_of_a_jpeg_decoded_small_are_of_the_file_as_shown(orientation: int) -> None:
    image = decode(stored_sideways(orientation, "JPEG", scale=30))
    assert (image.facts.width, image.facts.height) == (1440, 960)
    assert image.pixels.shape == (480, 720)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert grey_of(encode(UPRIGHT, "PNG", exif=exif)) == UPRIGHT.tolist()


# ---------------------------------------------------------------- what the facts say


@pytest.mark.parametrize(
    ("data", "image_format", "bits"),
    [
        (encode(noise(30, 20), "JPEG"), "JPEG", 8),
        (encode(noise(30, 20), "PNG"), "PNG", 8),
        (build_png(noise(30, 20), 16), "PNG", 16),
        (encode(Image.new("1", (20, 30)), "PNG"), "PNG", 1),
    ],
)
def test_facts_hold_format_size_depth_and_hash(data: bytes, image_format: str, bits: int) -> None:
    digest = hashlib.sha256(data).hexdigest()
    assert decode(data, TINY).facts == ImageFacts(image_format, 20, 30, bits, digest)  # type: ignore[arg-type]


# ---------------------------------------------------------------- large JPEGs, resizing


@pytest.mark.parametrize(
    ("side", "decoded"), [(447, 447), (895, 895), (896, 448), (1791, 896), (1792, 448), (3584, 448)]
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_not_under_448(side: int, decoded: int) -> None:
    data = encode(Image.new("L", (side, side), 90), "JPEG")
    assert decode(data).pixels.shape == (decoded, decoded)


def test_a_jpeg_narrow_on_one_side_is_not_decoded_smaller() -> None:
    data = encode(Image.new("L", (4000, 500), 90), "JPEG")
    assert decode(data).pixels.shape == (500, 4000)


@pytest.mark.parametrize("progressive", [False, True])
def test_decoding_a_large_jpeg_small_changes_the_answer_by_less_than_one_grey_level(
    progressive: bool,
) -> None:
    waves = 127 + 100 * np.outer(np.cos(np.arange(1800) / 71), np.sin(np.arange(2100) / 97))
    picture = waves.astype(np.uint8) + noise(1800, 2100) // 10
    data = encode(picture, "JPEG", quality=92, progressive=progressive)

    small = decode(data)
    with Image.open(io.BytesIO(data)) as file:
        full = as_grey_image(np.asarray(file.convert("L")))

    assert small.pixels.shape == (450, 525)
    assert full.pixels.shape == (1800, 2100)
    difference = resize(small).astype(int) - resize(full).astype(int)
    assert abs(difference).mean() < 1


def test_resizing_224_by_224_changes_nothing() -> None:
    pixels = noise(224, 224)
    assert resize(as_grey_image(pixels)).tolist() == [pixels.tolist()]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 1000), (3000, 70)])
def test_resizing_a_flat_image_keeps_its_level(height: int, width: int) -> None:
    resized = resize(as_grey_image(np.full((height, width), 77, np.uint8)))
    assert resized.tolist() == np.full((1, 224, 224), 77).tolist()


@pytest.mark.parametrize(("height", "width"), [(100, 1000), (1000, 100), (448, 300)])
def test_both_axes_are_stretched_to_the_whole_square(height: int, width: int) -> None:
    quadrants = np.array([[0, 80], [160, 240]], np.uint8)
    pixels = quadrants.repeat(height // 2, 0).repeat(width // 2, 1)
    resized = resize(as_grey_image(pixels))[0]
    inner = 100  # rows or columns of each half that no filter across the middle reaches
    assert (resized[:inner, :inner] == 0).all()
    assert (resized[:inner, -inner:] == 80).all()
    assert (resized[-inner:, :inner] == 160).all()
    assert (resized[-inner:, -inner:] == 240).all()


def test_halving_weighs_four_neighbours_by_the_widened_triangle() -> None:
    # A triangle two pixels wide each way, at distances 1.5 0.5 0.5 1.5: 1/8 3/8 3/8 1/8.
    pixels = np.zeros((448, 448), np.uint8)
    pixels[:, 100] = 200
    resized = resize(as_grey_image(pixels))[0]
    assert resized[:, 48:52].tolist() == [[0, 25, 75, 0]] * 224


def test_a_large_image_is_averaged_in_boxes_before_the_filter() -> None:
    # 1792 -> 448 by the mean of 4 x 4, then as above.
    pixels = np.zeros((1792, 1792), np.uint8)
    pixels[:, 401] = 200
    resized = resize(as_grey_image(pixels))[0]
    assert resized[:, 48:52].tolist() == [[0, 6, 19, 0]] * 224


# ---------------------------------------------------------------- refusals: not an image


def test_no_bytes_are_an_empty_upload() -> None:
    with pytest.raises(EmptyUpload):
        decode(b"")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"Name: Jane Doe\nDate: 2020-03-01\n", id="text renamed .png"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"%PDF-1.7\n", id="pdf"),
        pytest.param(bytes(128) + b"DICM", id="dicom"),
        pytest.param(encode(noise(80, 80), "GIF"), id="gif"),
        pytest.param(encode(noise(80, 80), "BMP"), id="bmp"),
        pytest.param(encode(noise(80, 80), "TIFF"), id="tiff"),
        pytest.param(b" " + encode(noise(80, 80), "PNG"), id="png after a blank"),
        pytest.param(encode(noise(80, 80), "PNG")[:7], id="part of a png signature"),
        pytest.param(b"\x00", id="one byte"),
    ],
)
def test_what_does_not_begin_like_jpeg_or_png_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        decode(data)


# ---------------------------------------------------------------- refusals: size


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 64), (64, 63), (20_000, 1)])
def test_a_side_under_64_pixels_is_too_small(width: int, height: int) -> None:
    with pytest.raises(ImageTooSmall) as caught:
        decode(build_png(np.zeros((height, width), np.uint8)))
    assert caught.value.facts == {"min_side_px": 64}


def test_64_by_64_pixels_are_enough() -> None:
    pixels = noise(64, 64)
    assert decode(build_png(pixels)).pixels.tolist() == pixels.tolist()


def test_exactly_the_most_pixels_are_decoded() -> None:
    assert decode(build_png(noise(70, 80)), Limits(max_pixels=70 * 80)).pixels.shape == (70, 80)


def test_one_pixel_more_is_refused() -> None:
    with pytest.raises(ImageTooManyPixels) as caught:
        decode(build_png(noise(70, 80)), Limits(max_pixels=70 * 80 - 1))
    assert caught.value.facts == {"max_pixels": 5599}


def test_50_million_pixels_pass_the_size_check() -> None:
    with pytest.raises(ImageTruncated):  # the header is believed, the pixels are missed
        decode(PNG_SIGNATURE + png_header(10_000, 5_000) + png_pixels([]))


@pytest.fixture
def no_pixels_decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check that Pillow is never asked for pixels."""
    calls: list[ImageFile.ImageFile] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", calls.append)
    yield
    assert not calls


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(("width", "height"), [(5_001, 10_000), (10_000, 10_000), (2**31 - 1, 64)])
def test_more_than_50_million_pixels_are_refused_by_the_header(width: int, height: int) -> None:
    with pytest.raises(ImageTooManyPixels) as caught:
        decode(PNG_SIGNATURE + png_header(width, height) + png_pixels([]))
    assert caught.value.facts == {"max_pixels": 50_000_000}


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize("side", [7_072, 10_000, 20_000, 65_500])
def test_a_jpeg_that_declares_too_many_pixels_is_refused_by_the_header(side: int) -> None:
    with pytest.raises(ImageTooManyPixels):
        decode(with_jpeg_size(encode(noise(64, 64), "JPEG"), side, side))


def test_the_bomb_of_these_tests_is_a_valid_png() -> None:
    with Image.open(io.BytesIO(bomb_png(300))) as image:
        assert np.asarray(image).tolist() == np.zeros((300, 300)).tolist()


@pytest.mark.usefixtures("no_pixels_decoded")
def test_a_20000_by_20000_bomb_is_refused_at_once_and_in_little_memory() -> None:
    bomb = bomb_png(20_000)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(ImageTooManyPixels):
            decode(bomb)
        elapsed_s = time.perf_counter() - started
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert elapsed_s < 0.5
    assert peak_bytes < len(bomb) + 1_000_000


def test_a_text_chunk_that_inflates_to_20_megabytes_is_not_inflated() -> None:
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))
    data = PNG_SIGNATURE + png_header(64, 64) + chunk + png_pixels([bytes(64)] * 64)
    tracemalloc.start()
    try:
        with pytest.raises(ImageUndecodable):
            decode(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5_000_000


def with_scans(count: int) -> bytes:
    """A progressive JPEG of 64 x 64 whose last scan, a refinement, is said again and again."""
    data = encode(noise(64, 64), "JPEG", progressive=True)
    last, end = data[data.rindex(b"\xff\xda") : -2], data[-2:]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + end


def test_100_scans_are_decoded() -> None:
    assert decode(with_scans(100)).pixels.shape == (64, 64)


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(
    ("data", "image_format"),
    [
        pytest.param(with_scans(101), "JPEG", id="jpeg scans"),
        pytest.param(
            encode(noise(64, 64), "JPEG").replace(
                b"\xff\xd8", b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000, 1
            ),
            "JPEG",
            id="jpeg segments",
        ),
        pytest.param(
            encode(noise(64, 64), "JPEG").replace(b"\xff\xd8", b"\xff\xd8" + b"\xff" * 20_000, 1),
            "JPEG",
            id="jpeg fill bytes",
        ),
        pytest.param(
            build_png(noise(64, 64), extra=png_chunk(b"tIME") * 20_000), "PNG", id="png chunks"
        ),
    ],
)
def test_more_parts_than_an_encoder_writes_are_refused_before_pillow_counts_them(
    data: bytes, image_format: str
) -> None:
    with pytest.raises(ImageUndecodable) as caught:
        decode(data)
    assert caught.value.facts == {"format": image_format}


def test_some_thousand_small_chunks_are_decoded() -> None:
    pixels = noise(64, 64)
    assert decode(build_png(pixels, extra=png_chunk(b"tIME") * 10_000)).pixels.tolist() == (
        pixels.tolist()
    )


def test_metadata_with_fill_and_stray_bytes_is_passed_over() -> None:
    data = encode(noise(64, 64), "JPEG")
    between = b"\xff\xfe\0\7hello" + b"stray" + b"\xff\xff\xff"
    assert decode(data[:2] + between + data[2:]).pixels.tolist() == decode(data).pixels.tolist()


# ---------------------------------------------------------------- refusals: damage


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(noise(96, 96), "JPEG"), id="baseline"),
        pytest.param(encode(noise(96, 96), "JPEG", progressive=True), id="progressive"),
        pytest.param(encode(noise(1024, 1024), "JPEG"), id="baseline decoded small"),
        pytest.param(encode(noise(96, 96), "PNG"), id="png"),
        pytest.param(build_png(noise(96, 96), 16), id="16-bit png"),
    ],
)
def test_a_file_cut_among_its_pixels_is_truncated(data: bytes, share: float) -> None:
    with pytest.raises(ImageTruncated):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "image_format"),
    [
        pytest.param(b"\xff\xd8\xff\xe0", "JPEG", id="only a jpeg signature"),
        pytest.param(b"\xff\xd8\xff" + PATIENT * 20, "JPEG", id="text behind a jpeg signature"),
        pytest.param(PNG_SIGNATURE, "PNG", id="only a png signature"),
        pytest.param(PNG_SIGNATURE + bytes(80), "PNG", id="zeros behind a png signature"),
        pytest.param(build_png(noise(64, 64), 8, colour=7), "PNG", id="unknown colour type"),
        pytest.param(
            encode(noise(64, 64), "JPEG").replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc0\x00\x0b\x0c"),
            "JPEG",
            id="12-bit jpeg",
        ),
        pytest.param(
            PNG_SIGNATURE
            + png_chunk(b"tEXt", b"Comment\0first")
            + build_png(noise(64, 64), 16)[len(PNG_SIGNATURE) :],
            "PNG",
            id="IHDR not first",
        ),
    ],
)
def test_what_begins_like_an_image_and_is_none_is_undecodable(
    data: bytes, image_format: str
) -> None:
    with pytest.raises(ImageUndecodable) as caught:
        decode(data)
    assert caught.value.facts == {"format": image_format}


def test_a_second_header_does_not_let_16_bits_through() -> None:
    samples = np.array([[1000, 2000], [3000, 6000]])
    data = build_png(samples, 16).replace(PNG_SIGNATURE, PNG_SIGNATURE + png_header(2, 2))
    assert grey_of(data) == [[0, 51], [102, 255]]


def fuzz_seeds() -> dict[str, bytes]:
    colour = np.dstack([noise(24, 24, seed) for seed in range(3)])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return {
        "grey jpeg": encode(noise(24, 24), "JPEG"),
        "progressive jpeg": encode(colour, "JPEG", progressive=True, exif=exif),
        "cmyk jpeg": encode(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "grey png": encode(noise(24, 24), "PNG", exif=exif),
        "16-bit png": build_png(noise(24, 24), 16, extra=png_chunk(b"tRNS", b"\0\x07")),
        "16-bit rgb png": build_png(colour, 16, RGB),
        "palette png": encode(Image.fromarray(colour).quantize(32), "PNG", transparency=3),
        "alpha png": encode(Image.fromarray(colour).convert("RGBA"), "PNG"),
        "1-bit png": encode(Image.fromarray(noise(24, 24)).convert("1"), "PNG"),
    }


def damage(data: bytes, generator: np.random.Generator) -> bytes:
    """Overwrite one to four bytes, one time in five cut the end off too."""
    damaged = bytearray(data)
    for at in generator.integers(len(data), size=generator.integers(1, 5)):
        damaged[at] = generator.integers(256)
    if generator.random() < 0.2:
        del damaged[generator.integers(1, len(data)) :]
    if data.startswith(PNG_SIGNATURE) and generator.random() < 0.8:
        return with_valid_checksums(bytes(damaged))
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of odd metadata, which is not refused
@pytest.mark.parametrize(("name", "data"), fuzz_seeds().items(), ids=fuzz_seeds())
def test_damaged_files_give_grey_bytes_or_a_typed_refusal(name: str, data: bytes) -> None:
    generator = np.random.default_rng(len(name))
    limits = Limits(min_side_px=1, max_pixels=1_000_000)
    refused = 0
    for _ in range(250):
        try:
            image = decode(damage(data, generator), limits)
        except RequestError as error:
            assert error.status in (415, 422)
            refused += 1
            continue
        resized = resize(image)
        assert (image.pixels.dtype.name, image.pixels.ndim) == ("uint8", 2)
        assert (resized.dtype.name, resized.shape) == ("uint8", (1, 224, 224))
    assert refused  # the damage is real


# ---------------------------------------------------------------- nothing leaks


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PATIENT * 10, id="unsupported"),
        pytest.param(b"\xff\xd8\xff" + PATIENT * 10, id="undecodable jpeg"),
        pytest.param(PNG_SIGNATURE + PATIENT * 10, id="undecodable png"),
        pytest.param(
            encode(noise(96, 96), "JPEG", comment=PATIENT)[:4000], id="truncated, with a comment"
        ),
        pytest.param(
            build_png(noise(9, 9), extra=png_chunk(b"tEXt", b"Name\0" + PATIENT)), id="too small"
        ),
        pytest.param(
            PNG_SIGNATURE + png_header(64, 64) + png_chunk(PATIENT[:4], PATIENT), id="odd chunk"
        ),
    ],
)
def test_a_refusal_holds_no_bytes_of_the_input(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode(data)
    error = caught.value
    shown = f"{error!r} {error.problem('id', 'en')} {error.problem('id', 'es')}"
    for part in ("DOE", "JANE"):
        assert part not in shown


def test_a_refusal_hides_the_exception_behind_it_from_tracebacks() -> None:
    with pytest.raises(ImageUndecodable) as caught:
        decode(b"\xff\xd8\xff" + PATIENT)
    assert caught.value.__suppress_context__


@contextmanager
def files_opened_for_writing() -> Iterator[list[str]]:
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        flags = arguments[2] if watching and event == "open" else 0
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # can't be removed, only told to look away
    try:
        yield opened
    finally:
        watching = False


def test_decoding_writes_no_file(tmp_path: Path) -> None:
    with files_opened_for_writing() as opened:
        for data in fuzz_seeds().values():
            resize(decode(data, TINY))
        (tmp_path / "seen").touch()  # shows that the watch would see one
    assert opened == [str(tmp_path / "seen")]
