"""One radiograph as a PNG of 8 bits and as DICOM in every coding: the model says the same."""

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import data_store
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from app.image.decode import decode
from app.image.grey_image import GreyImage
from app.image.resize import resize
from app.model.bundle import read_bundle
from app.model.session import OnnxModel
from tests import dicoms
from tests.conftest import ROOT
from tests.dicoms import Value, encapsulated, native
from tests.images import encode

DATA = ROOT.parent / "shared" / "data" / "cxr4" / "manifest.csv"
REAL = Path(data_store.__file__).parent / "data"  # of pydicom-data: NEMA's WG 4
LOSSLESS, LOSSY = 0.01, 0.03
"""How far a probability may move; the resolution is reduced beyond 1,792 px a side."""

Grey = NDArray[np.uint8] | NDArray[np.uint16]
FULL: dict[str, Value] = {"x00281050": "2048", "x00281051": "4096"}


@cache
def model() -> OnnxModel:
    return OnnxModel(read_bundle(ROOT / "models" / "neumo-r18-2"))


def probabilities(image: GreyImage) -> NDArray[np.float32]:
    return model().run(resize(image)[np.newaxis]).probabilities[0]


def moved(data: bytes, expected: NDArray[np.float32]) -> float:
    return float(np.abs(probabilities(decode(data)) - expected).max())


def jpeg_2000(pixels: Grey, **options: object) -> bytes:
    bits = 12 if pixels.dtype == np.uint16 else 8
    given = {"codecformat": "j2k", "bitspersample": bits} | options
    data: bytes = imagecodecs.jpeg2k_encode(pixels, **given)
    return data


def jpeg(pixels: Grey, **options: object) -> bytes:
    bits = 12 if pixels.dtype == np.uint16 else 8
    data: bytes = imagecodecs.jpeg8_encode(pixels, bitspersample=bits, **options)
    return data


def htj2k(pixels: Grey, **options: object) -> bytes:
    data: bytes = imagecodecs.htj2k_encode(pixels, **options)
    return data


def jpeg_ls(pixels: Grey, level: int = 0) -> bytes:
    data: bytes = imagecodecs.jpegls_encode(pixels, level=level)
    return data


CODINGS: dict[str, tuple[str, Callable[[Grey], bytes] | None, float]] = {
    "implicit": (dicoms.IMPLICIT, None, LOSSLESS),
    "explicit": (dicoms.EXPLICIT, None, LOSSLESS),
    "big endian": (dicoms.BIG_ENDIAN, None, LOSSLESS),
    "RLE": (dicoms.RLE, dicoms.rle, LOSSLESS),
    "JPEG": (dicoms.JPEG, lambda pixels: jpeg(pixels, level=90), LOSSY),
    "JPEG extended": (dicoms.JPEG_12, lambda pixels: jpeg(pixels, level=90), LOSSY),
    "JPEG lossless, process 14": (
        dicoms.JPEG_LOSSLESS_14, lambda pixels: jpeg(pixels, lossless=True, predictor=6), LOSSLESS,
    ),
    "JPEG lossless": (
        dicoms.JPEG_LOSSLESS, lambda pixels: jpeg(pixels, lossless=True, predictor=1), LOSSLESS,
    ),
    "JPEG-LS": (dicoms.JPEG_LS, jpeg_ls, LOSSLESS),
    "JPEG-LS, near": (dicoms.JPEG_LS_NEAR, lambda pixels: jpeg_ls(pixels, 2), LOSSY),
    "JPEG 2000": (
        dicoms.JPEG_2000_LOSSLESS,
        lambda pixels: jpeg_2000(pixels, level=0, reversible=True),
        LOSSLESS,
    ),
    "JPEG 2000, lossy": (dicoms.JPEG_2000, lambda pixels: jpeg_2000(pixels, level=50), LOSSY),
    "HTJ2K": (dicoms.HTJ2K_LOSSLESS, lambda pixels: htj2k(pixels, reversible=True), LOSSLESS),
    "HTJ2K, RPCL": (dicoms.HTJ2K_RPCL, lambda pixels: htj2k(pixels, reversible=True), LOSSLESS),
    "HTJ2K, lossy": (dicoms.HTJ2K, lambda pixels: htj2k(pixels, reversible=False), LOSSY),
}  # fmt: skip


def write(pixels: Grey, coding: str, bits: int, **more: Value) -> bytes:
    syntax, encoder, _ = CODINGS[coding]
    if encoder is None:
        return native(pixels, bits, syntax, **more)
    return encapsulated(pixels, encoder(pixels), syntax, bits, **more)


def example() -> NDArray[np.uint8]:
    with Image.open(ROOT / "examples" / "covid19.jpg") as file:
        return np.asarray(file.convert("L").resize((450, 500)))


def deep(grey: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return 12 bits whose window shows these very grey levels."""
    return ((grey.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("coding", "bits"),
    [(coding, bits) for coding in CODINGS for bits in (8, 12) if (coding, bits) != ("JPEG", 12)],
)
def test_every_coding_says_what_the_png_says(coding: str, photometric: str, bits: int) -> None:
    grey = example()
    expected = probabilities(decode(encode(grey, "PNG")))
    stored: Grey = grey if bits == 8 else deep(grey)
    more: dict[str, Value] = {"x00280004": photometric} | (FULL if bits == 12 else {})
    if photometric == "MONOCHROME1":
        stored = (((1 << bits) - 1) - stored).astype(stored.dtype)
    assert moved(write(stored, coding, bits, **more), expected) <= CODINGS[coding][2]


@pytest.mark.parametrize("coding", ["JPEG 2000", "HTJ2K", "JPEG 2000, lossy"])
def test_reduced_resolution_says_nearly_the_same(coding: str) -> None:
    grey = np.asarray(Image.fromarray(example()).resize((2048, 2500), Image.Resampling.BICUBIC))
    expected = probabilities(decode(encode(grey, "PNG")))
    file = write(deep(grey), coding, 12, **FULL)
    assert decode(file).pixels.shape == (1250, 1024)
    assert moved(file, expected) <= LOSSY


@pytest.mark.skipif(not DATA.exists(), reason="the development X-rays (../shared/data) are absent")
def test_development_x_rays_say_what_their_pngs_say(
    record_property: Callable[[str, object], None],
) -> None:
    with DATA.open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest))
    worst: dict[str, list[float]] = {coding: [] for coding in CODINGS}
    for row in rows[:: len(rows) // 12]:
        image = decode((DATA.parent / row["path"]).read_bytes())
        grey = np.asarray(Image.fromarray(image.pixels).resize((480, 450)))
        expected = probabilities(decode(encode(grey, "PNG")))
        for coding, moves in worst.items():
            if coding == "JPEG":
                moves.append(moved(write(grey, coding, 8), expected))
            else:
                moves.append(moved(write(deep(grey), coding, 12, **FULL), expected))
    for coding, moves in worst.items():
        record_property(coding, f"median {np.median(moves):.4f} max {max(moves):.4f}")
    assert {
        coding: max(moves) for coding, moves in worst.items() if max(moves) > CODINGS[coding][2]
    } == {}


def real(name: str) -> GreyImage:
    return decode((REAL / f"{name}.dcm").read_bytes())


@pytest.mark.parametrize(
    ("name", "of", "most"),
    [
        ("RG1_J2KR", "RG1_UNCR", LOSSY),  # 1,955 x 1,841: reduced
        ("RG1_J2KI", "RG1_UNCI", LOSSY),
        ("RG1_UNCI", "RG1_UNCR", LOSSY),
        ("RG1_UNCR", None, LOSSLESS),
    ],
)
def test_a_real_chest_says_the_same_in_each_coding(name: str, of: str | None, most: float) -> None:
    shown = real(name)
    expected = probabilities(decode(encode(shown.pixels, "PNG")) if of is None else real(of))
    assert np.abs(probabilities(shown) - expected).max() <= most


def test_a_real_chest_is_shown_as_the_standard_says() -> None:
    """The window 15000 / 30000 of MONOCHROME1, by the formula of PS3.3 C.11.2.1.2."""
    stored = dcmread(REAL / "RG1_UNCR.dcm").pixel_array.astype(float)
    shares = ((stored - 14999.5) / 29999 + 0.5).clip(0, 1)
    assert (real("RG1_UNCR").pixels == np.rint((1 - shares) * 255)).all()
    facts = real("RG1_UNCR").facts
    assert (facts.width, facts.height, facts.bits) == (1841, 1955, 15)


@pytest.mark.parametrize("name", ["RG3_UNCR", "RG3_UNCI", "RG3_J2KR", "RG3_J2KI"])
def test_a_real_leg_is_far_from_every_chest(name: str) -> None:
    card = read_bundle(ROOT / "models" / "neumo-r18-2").card
    outputs = model().run(resize(real(name))[np.newaxis])
    assert card.distance_threshold is not None
    assert outputs.distance[0] > card.distance_threshold
