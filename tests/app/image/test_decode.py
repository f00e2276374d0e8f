"""app.image.decode: from the bytes of a file to the 224 x 224 image, pixel by pixel."""

import hashlib
import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from app.image.decode import decode
from app.image.grey_image import GreyImage, ImageFacts, Limits
from app.image.resize import resize
from tests.images import (
    GREY_ALPHA,
    PALETTE,
    PNG_SIGNATURE,
    RGB,
    RGB_ALPHA,
    build_png,
    encode,
    noise,
    png_chunk,
    png_header,
    png_pixels,
)

Pixels = NDArray[np.uint8]
TINY = Limits(min_side_px=1)


def grey_of(data: bytes) -> list[list[int]]:
    """Decode without a lower limit and return the pixels."""
    pixels: list[list[int]] = decode(data, TINY).pixels.tolist()
    return pixels


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
    assert grey_of(build_png(np.full((2, 2), 4000), 16)) == [[0, 0], [0, 0]]


def test_8_bit_constant_image_keeps_its_level() -> None:
    assert grey_of(build_png(np.full((2, 2), 40))) == [[40, 40], [40, 40]]


def test_16_bit_grey_with_a_transparent_value_is_laid_over_black() -> None:
    transparent = png_chunk(b"tRNS", struct.pack(">H", 60_000))
    samples = np.array([[0, 1000, 5000, 60_000]])
    assert grey_of(build_png(samples, 16, extra=transparent)) == [[0, 51, 255, 0]]


def test_16_bit_rgb_of_full_scale_keeps_its_levels() -> None:
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
