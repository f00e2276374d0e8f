"""app.image.dicom.grey_scale: values worked out by hand, after PS3.3 C.7.6.3 and C.11."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.errors import DicomUnsupported, InvalidParameter
from app.image.decode import decode
from app.image.grey_image import GreyWindow, Limits
from tests.dicoms import BIG_ENDIAN, IMPLICIT, Value, native
from tests.images import build_png, encode

ANY_SIZE = Limits(min_side_px=1)
STORED = [0, 1000, 2048, 3000, 4095]
SHOWN = [0, 62, 128, 187, 255]  # by the window 2048 / 4096
INVERTED = [255, 193, 127, 68, 0]
FULL: dict[str, Value] = {"x00281050": "2048", "x00281051": "4096"}
MONOCHROME1: dict[str, Value] = {"x00280004": "MONOCHROME1"}


def lut(descriptor: list[int], data: bytes | list[int]) -> list[dict[int, Value]]:
    return [{0x00283002: descriptor, 0x00283006: data}]


TO_EIGHT_BITS = lut([4096, 0, 8], [value // 16 for value in range(4096)])


@dataclass(frozen=True)
class Row:
    name: str
    expected: list[int]
    more: dict[str, Value] = field(default_factory=dict)
    stored: list[int] = field(default_factory=lambda: STORED)
    bits: int = 12
    dtype: type[np.generic] = np.uint16
    window: int | None = None


ROWS = [
    Row("linear", SHOWN, FULL),
    Row(
        "linear, narrow",
        [0, 85, 170, 255, 255],
        {"x00281050": "2048", "x00281051": "4"},
        [2046, 2047, 2048, 2049, 2050],
    ),
    Row(
        "linear exact",
        [0, 64, 128, 191, 255],
        {"x00281050": "2048", "x00281051": "4", "x00281056": "LINEAR_EXACT"},
        [2046, 2047, 2048, 2049, 2050],
    ),
    Row("sigmoid", [30, 67, 128, 183, 225], FULL | {"x00281056": "SIGMOID"}),
    Row("width 1 is a step", [0, 0, 255, 255, 255], {"x00281050": "2048", "x00281051": "1"}),
    Row("two windows: first", SHOWN, {"x00281050": "2048\\1000", "x00281051": "4096\\500"}),
    Row(
        "two windows: asked",
        [0, 128, 255, 255, 255],
        {"x00281050": "2048\\1000", "x00281051": "4096\\500"},
        window=1,
    ),
    Row("VOI LUT", SHOWN, {"x00283010": TO_EIGHT_BITS}),
    Row(
        "a LUT wins over a window",
        SHOWN,
        {"x00283010": TO_EIGHT_BITS, "x00281050": "1", "x00281051": "2"},
    ),
    Row(
        "a window stands behind the LUTs",
        [0, 255, 255, 255, 255],
        {"x00283010": TO_EIGHT_BITS, "x00281050": "1", "x00281051": "2"},
        window=1,
    ),
    Row("no LUT in its sequence", SHOWN, FULL | {"x00283010": []}),
    Row(
        "VOI LUT of bytes, two a word",
        SHOWN,
        {"x00283010": lut([4096, 0, 8], bytes(value // 16 for value in range(4096)))},
    ),
    Row(
        "VOI LUT that says 16 bits and holds 12",
        SHOWN,
        {"x00283010": lut([4096, 0, 16], list(range(4096)))},
    ),
    Row(
        "VOI LUT from 500 on",
        [0, 125, 249, 249, 249],
        {"x00283010": lut([1000, 500, 8], [value // 4 for value in range(1000)])},
    ),
    Row(
        "VOI LUT of 0, that is 65536, entries",
        [0, 64, 128, 192, 255],
        {"x00283010": lut([0, 0, 8], [value // 256 for value in range(65536)])},
        [0, 16384, 32768, 49152, 65535],
        bits=16,
    ),
    Row(
        "VOI LUT of values below zero",
        [255, 3, 5, 255, 255],
        {
            "x00281052": "-1000",
            "x00283010": lut([3, -1, 8], [255, 3, 5]),
            "x00281053": "1",
        },
        [998, 1000, 1001, 997, 0],
    ),
    Row("slope -1", INVERTED, FULL | {"x00281053": "-1", "x00281052": "4095"}),
    Row(
        "slope -10",
        INVERTED,
        {"x00281053": "-10", "x00281052": "40950", "x00281050": "20480", "x00281051": "40960"},
    ),
    Row(
        "slope of a half",
        SHOWN,
        {"x00281053": "0.5", "x00281052": "0", "x00281050": "1024", "x00281051": "2048"},
    ),
    Row(
        "intercept",
        SHOWN,
        {"x00281053": "1", "x00281052": "-1024", "x00281050": "1024", "x00281051": "4096"},
    ),
    Row(
        "modality LUT",
        INVERTED,
        FULL | {"x00283000": lut([4096, 0, 12], [4095 - value for value in range(4096)])},
    ),
    Row(
        "modality LUT wins over a slope",
        INVERTED,
        FULL
        | {"x00281053": "0", "x00283000": lut([4096, 0, 12], [4095 - i for i in range(4096)])},
    ),
    Row(
        "modality LUT of signed values",
        SHOWN,
        FULL | {"x00283000": lut([4096, -2048, 12], list(range(4096)))},
        [value - 2048 for value in STORED],
        dtype=np.int16,
    ),
    Row(
        "signed",
        [0, 65, 128, 190, 255],
        {"x00281050": "0", "x00281051": "4096"},
        [-2048, -1000, 0, 1000, 2047],
        dtype=np.int16,
    ),
    Row(
        "signed, in 12 bits of 16",
        [0, 65, 128, 190, 255],
        {"x00281050": "0", "x00281051": "4096", "x00280103": 1},
        [-2048 & 0xFFF, -1000 & 0xFFF, 0, 1000, 2047],
    ),
    Row("high bit 15", SHOWN, FULL | {"x00280102": 15}, [value << 4 | 0xF for value in STORED]),
    Row("bits above are masked", SHOWN, FULL, [value | 0x3000 for value in STORED]),
    Row("padding", [0, 62, 128, 187, 0], FULL | {"x00280120": 4095}),
    Row("padding range", [0, 62, 128, 0, 0], FULL | {"x00280120": 2500, "x00280121": 4095}),
    Row("padding range, down", [0, 62, 128, 0, 0], FULL | {"x00280120": 4095, "x00280121": 2500}),
    Row(
        "signed padding",
        [0, 0, 128, 190, 255],
        {"x00281050": "0", "x00281051": "4096", "x00280120": -1000},
        [-2048, -1000, 0, 1000, 2047],
        dtype=np.int16,
    ),
    Row("MONOCHROME1", INVERTED, FULL | MONOCHROME1),
    Row("MONOCHROME1, INVERSE", INVERTED, FULL | MONOCHROME1 | {"x20500020": "INVERSE"}),
    Row("MONOCHROME1, IDENTITY", INVERTED, FULL | MONOCHROME1 | {"x20500020": "IDENTITY"}),
    Row("MONOCHROME2, INVERSE", INVERTED, FULL | {"x20500020": "INVERSE"}),
    Row("MONOCHROME2, IDENTITY", SHOWN, FULL | {"x20500020": "IDENTITY"}),
    Row("padding of MONOCHROME1", [0, 193, 127, 68, 0], FULL | MONOCHROME1 | {"x00280120": 0}),
    Row(
        "MONOCHROME1, slope -1",
        SHOWN,
        FULL | MONOCHROME1 | {"x00281053": "-1", "x00281052": "4095"},
    ),
    Row("8 bits without a window", SHOWN, {}, SHOWN, bits=8, dtype=np.uint8),
    Row("8 bits of 16", SHOWN, {}, SHOWN, bits=8),
    Row("8 bits, inverted", [255, 193, 127, 68, 0], MONOCHROME1, SHOWN, bits=8, dtype=np.uint8),
    Row(
        "8 bits, rescaled: the range goes with it",
        [255, 193, 127, 68, 0],
        {"x00281053": "-2", "x00281052": "7"},
        SHOWN,
        bits=8,
        dtype=np.uint8,
    ),
    Row("a centre without width", SHOWN, {"x00281050": "9"}, SHOWN, bits=8, dtype=np.uint8),
]  # fmt: skip


def show(row: Row, syntax: str) -> NDArray[np.uint8]:
    pixels = np.array([row.stored], row.dtype)
    file = native(pixels, row.bits, syntax, **row.more)
    return decode(file, ANY_SIZE, row.window).pixels


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_stored_values_become_the_grey_of_the_standard(row: Row, syntax: str) -> None:
    assert show(row, syntax).tolist() == [row.expected]


@pytest.mark.parametrize(
    "more",
    [
        {"x00281050": "2048", "x00281051": "0"},
        {"x00281050": "2048", "x00281051": "0.5"},
        {"x00281050": "2048", "x00281051": "-5"},
        {"x00281050": "2048", "x00281051": "0", "x00281056": "LINEAR_EXACT"},
        {"x00281050": "2048", "x00281051": "nan"},
        {"x00281050": "inf", "x00281051": "400"},
        {"x00281050": "PATIENT", "x00281051": "400"},
        FULL | {"x00281056": "CUBIC"},
        FULL | {"x00281053": "0"},
        FULL | {"x00281053": "nan"},
        {"x00283010": lut([4096, 0], bytes(8192))},
        {"x00283010": lut([4096, 0, 17], bytes(8192))},
        {"x00283010": lut([4096, 0, 12], bytes(8190))},
        {"x00283010": [{}]},
    ],
)
def test_a_grey_scale_that_contradicts_itself_is_not_guessed(more: dict[str, Value]) -> None:
    with pytest.raises(DicomUnsupported) as refusal:
        show(Row("", [], more), IMPLICIT)
    assert refusal.value.facts == {"reason": "grey_scale"}


@pytest.mark.parametrize(("more", "windows"), [(FULL, 1), ({}, 0)])
@pytest.mark.parametrize("window", [-1, 1])
def test_a_window_that_is_not_there_is_told(
    more: dict[str, Value], windows: int, window: int
) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        show(Row("", [], more, window=window), IMPLICIT)
    assert refusal.value.facts == {"parameter": "window", "reason": "window", "windows": windows}


def film(bits: int = 12) -> NDArray[np.uint16]:
    """Draw 64 x 64 values of a film that uses the middle third of its bits."""
    ramp = np.linspace(0.3, 0.6, 64 * 64).reshape(64, 64)
    return (ramp * (1 << bits)).astype(np.uint16)


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
def test_without_a_window_a_film_reads_as_the_png_of_its_values(bits: int) -> None:
    expected = decode(build_png(film(bits), 16)).pixels
    assert (decode(native(film(bits), bits)).pixels == expected).all()


def test_without_a_window_the_one_that_was_found_is_told() -> None:
    facts = decode(native(film(), 12)).facts.dicom
    assert facts is not None
    assert facts.window.rendering == "by_values"
    assert facts.window.center == pytest.approx(0.45 * 4096, abs=20)
    assert facts.window.width == pytest.approx(0.3 * 4096, abs=20)


@pytest.mark.parametrize(
    "more",
    [
        {"x00281053": "-3", "x00281052": "99"},
        MONOCHROME1,
        {"x00283000": lut([4096, 0, 12], [4095 - value for value in range(4096)])},
    ],
)
def test_without_a_window_what_inverts_inverts(more: dict[str, Value]) -> None:
    straight = decode(native(film(), 12)).pixels.astype(int)
    inverted = decode(native(film(), 12, **more)).pixels
    assert np.abs(255 - straight - inverted).max() <= 1


def test_without_a_window_signed_values_read_as_those_without_sign() -> None:
    signed = (film().astype(int) - 2048).astype(np.int16)
    expected = decode(native(film(), 12)).pixels
    assert (decode(native(signed, 12)).pixels == expected).all()


def test_without_a_window_padding_has_no_part_in_it() -> None:
    padded = film()
    padded[:, :20] = 4095
    straight = decode(native(film(), 12)).pixels
    shown = decode(native(padded, 12, x00280120=4095)).pixels
    assert (shown[:, :20] == 0).all()
    assert np.abs(shown[:, 20:].astype(int) - straight[:, 20:]).max() <= 8


def test_an_image_of_nothing_but_padding_is_black() -> None:
    assert not decode(native(np.full((64, 64), 7, np.uint16), 12, x00280120=7)).pixels.any()


COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 200, 90]]], np.uint8)
LUMAS = [[76, 150, 29, 131]]  # ITU-R 601-2: 0.299, 0.587, 0.114


@pytest.mark.parametrize(
    ("pixels", "more"),
    [
        (COLOURS, {}),
        (COLOURS, {"x00280006": 0}),
        (COLOURS.transpose(2, 0, 1).reshape(1, 4, 3), {"x00280006": 1}),
        (
            np.dstack([LUMAS, [[9, 9, 9, 9]], [[1, 2, 3, 4]]]).astype(np.uint8),
            {"x00280004": "YBR_FULL"},
        ),
    ],
)
def test_colours_become_their_luma(pixels: NDArray[np.uint8], more: dict[str, Value]) -> None:
    image = decode(native(pixels, **more), ANY_SIZE)
    assert image.pixels.tolist() == LUMAS
    assert image.facts.dicom is not None
    assert image.facts.dicom.window == GreyWindow("colour")


def test_colours_become_the_grey_of_the_same_png() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    expected = decode(encode(Image.fromarray(pixels), "PNG")).pixels
    assert (decode(native(pixels)).pixels == expected).all()


def test_subsampled_colours_give_their_luma() -> None:
    stored = np.array([76, 150, 1, 2, 29, 131, 3, 4], np.uint8)  # Y Y Cb Cr
    file = native(
        stored.reshape(1, 8), x00280002=3, x00280004="YBR_FULL_422", x00280010=1, x00280011=4
    )
    assert decode(file, ANY_SIZE).pixels.tolist() == LUMAS


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_the_luma_of_its_colours(bits: int) -> None:
    more: dict[str, Value] = {"x00280004": "PALETTE COLOR"}
    for index, name in enumerate("123"):
        entries = [int(colour) * (257 if bits == 16 else 1) for colour in COLOURS[0, :, index]]
        more |= {f"x0028110{name}": [4, 10, bits], f"x0028120{name}": entries}
    indices = np.array([[10, 11, 12, 13, 0, 255]], np.uint8)
    shown = decode(native(indices, **more), ANY_SIZE).pixels
    assert shown.tolist() == [[*LUMAS[0], LUMAS[0][0], LUMAS[0][3]]]
