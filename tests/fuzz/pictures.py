"""JPEG and PNG files, decoded and resized as an upload is."""

import io
import random
from collections.abc import Iterator
from functools import cache

import imagecodecs
import numpy as np
from PIL import ExifTags, Image

from app.errors import RequestError
from app.image.decode import decode
from app.image.grey_image import Limits
from app.image.resize import resize
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged
from tests.images import (
    GREY_ALPHA,
    PNG_SIGNATURE,
    RGB,
    RGB_ALPHA,
    build_png,
    encode,
    noise,
    png_chunk,
    with_valid_checksums,
)

LIMITS = Limits(min_side_px=1, max_pixels=1_000_000)
_MARKS = [bytes((0xFF, mark)) for mark in (0xC0, 0xC2, 0xC3, 0xC4, 0xD8, 0xD9, 0xDA, 0xDD, 0xE1)]
_CHUNKS = [
    png_chunk(name, data)
    for name, data in (
        (b"gAMA", (100_000).to_bytes(4, "big")),
        (b"gAMA", bytes(4)),
        (b"tRNS", b"\0\1"),
        (b"iCCP", b"x\0\0x"),
        (b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"),
        (b"IDAT", b""),
        (b"IEND", b""),
    )
]


def read(data: bytes, limits: Limits = LIMITS) -> str:
    """Decode and resize; return how it ended, an error's code or ``read``."""
    try:
        image = decode(data, limits)
    except RequestError as error:
        check_refusal(error)
        return error.code
    small = resize(image)
    if (small.dtype.name, small.shape) != ("uint8", (1, 224, 224)):
        raise Wrong(f"{small.dtype} {small.shape}")
    return "read"


def check_refusal(error: RequestError) -> None:
    """See that it is the sender's fault, and that it does not tell what was sent."""
    if error.status >= 500:
        raise Wrong(f"{error.status} {error.code}")
    if CANARY[:6].decode() in f"{error.facts} {error.detail('en')} {error.detail('es')}":
        raise Wrong("an input is quoted")


class Jpegs(Target):
    """Baseline, progressive, lossless, arithmetic; grey, colour, inks."""

    name = "jpeg"
    suffix = "jpg"
    share = 6

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged files."""
        return damaged(jpegs(), first, count, self._damage)

    def run(self, data: bytes) -> str:
        """Decode."""
        return read(data)

    @staticmethod
    def _damage(whole: bytes, dice: random.Random) -> bytes:
        return damage_bytes(whole, dice, _MARKS)


class Pngs(Target):
    """Of every colour type and depth; most with checksums made good after the damage."""

    name = "png"
    suffix = "png"
    share = 6

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged files."""
        return damaged(pngs(), first, count, self._damage)

    def run(self, data: bytes) -> str:
        """Decode."""
        return read(data)

    @staticmethod
    def _damage(whole: bytes, dice: random.Random) -> bytes:
        data = PNG_SIGNATURE + damage_bytes(whole[8:], dice, _CHUNKS)
        return with_valid_checksums(data) if dice.random() < 0.8 else data


@cache
def jpegs() -> tuple[bytes, ...]:
    """Return whole ones."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = CANARY.decode()
    colour = _colour()
    cmyk = Image.fromarray(colour).convert("CMYK")
    smooth = np.add.outer(np.arange(1000), np.arange(960)).astype(np.uint8)
    return (
        encode(noise(24, 24), "JPEG", comment=CANARY),
        encode(colour, "JPEG", progressive=True, exif=exif),
        encode(cmyk, "JPEG"),
        encode(colour, "JPEG", subsampling=2, restart_marker_blocks=2),
        encode(smooth, "JPEG", quality=5),  # large enough to be decoded scaled down
        bytes(imagecodecs.jpeg8_encode(noise(24, 24), lossless=True)),
        bytes(imagecodecs.jpeg8_encode(colour, level=90)),
    )


@cache
def pngs() -> tuple[bytes, ...]:
    """Return whole ones."""
    colour = _colour()
    alpha = np.dstack([colour, noise(24, 24, 4)])
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 8
    text = png_chunk(b"tEXt", b"Name\0" + CANARY)
    return (
        encode(noise(24, 24), "PNG", exif=turned),
        build_png(noise(24, 24), 16, extra=png_chunk(b"tRNS", b"\0\x07") + text),
        build_png(colour, 16, RGB, extra=png_chunk(b"gAMA", (100_000).to_bytes(4, "big"))),
        build_png(alpha[..., :2], 16, GREY_ALPHA),
        build_png(alpha, 16, RGB_ALPHA),
        build_png(colour, 8, RGB, extra=text),
        encode(Image.fromarray(colour).quantize(32), "PNG", transparency=3),
        encode(Image.fromarray(alpha), "PNG"),
        encode(Image.fromarray(noise(24, 24)).convert("1"), "PNG"),
        _animated(),
    )


def _colour() -> np.ndarray:  # type: ignore[type-arg]
    return np.dstack([noise(24, 24, seed) for seed in range(3)])


def _animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(noise(24, 24, seed)) for seed in range(3)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()
