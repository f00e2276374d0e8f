"""DICOM files, damaged in headers and in codestreams of every coding.

Bits are flipped, bytes cut out, doubled or overwritten.
"""

import os
import random
from collections.abc import Iterator
from functools import cache

import imagecodecs
import numpy as np

from app.image.dicom.codec_pool import pool_of
from app.image.grey_image import NORMAL_LIMITS
from tests import dicoms
from tests.dicoms import Value, encapsulated, native
from tests.fuzz.pictures import read
from tests.fuzz.target import CANARY, Target, damaged


@cache
def seeds() -> tuple[bytes, ...]:
    """Return whole files, small ones, of every coding."""
    ramp = np.add.outer(np.arange(64), np.arange(72))
    grey = (ramp % 251).astype(np.uint8)
    deep = (ramp * 29 % 4096).astype(np.uint16)
    rgb = np.dstack([grey, grey[::-1], 255 - grey])
    lut: list[dict[int, Value]] = [{0x00283002: [16, 0, 8], 0x00283006: list(range(16))}]
    more: dict[str, Value] = {
        "x00080005": "ISO_IR 192",
        "x00100010": CANARY.decode(),
        "x00101010": "061Y",
        "x00281050": "2048\\100",
        "x00281051": "4096\\50",
        "x00283010": lut,
        "x00540220": [{0x00080100: "399348003"}],
    }
    palette: dict[str, Value] = {"x00280004": "PALETTE COLOR"}
    for name in "123":
        palette |= {f"x0028110{name}": [256, 0, 8], f"x0028120{name}": list(range(256))}
    jpeg_2000 = {"codecformat": "j2k", "level": 0, "reversible": True}
    return (
        native(deep, 12, **more),
        native(deep, 12, dicoms.IMPLICIT, **more),
        native(deep, 12, dicoms.BIG_ENDIAN),
        native(rgb),
        native(grey, **palette),
        encapsulated(deep, dicoms.rle(deep), dicoms.RLE, 12),
        encapsulated(grey, imagecodecs.jpeg8_encode(grey, level=90), dicoms.JPEG),
        encapsulated(
            deep, imagecodecs.jpeg8_encode(deep, level=90, bitspersample=12), dicoms.JPEG_12, 12
        ),
        encapsulated(
            deep,
            imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12),
            dicoms.JPEG_LOSSLESS,
            12,
        ),
        encapsulated(
            rgb, imagecodecs.jpeg8_encode(rgb, level=90), dicoms.JPEG, x00280004="YBR_FULL_422"
        ),
        encapsulated(deep, imagecodecs.jpegls_encode(deep), dicoms.JPEG_LS, 12),
        encapsulated(
            deep,
            imagecodecs.jpeg2k_encode(deep, bitspersample=12, **jpeg_2000),
            dicoms.JPEG_2000_LOSSLESS,
            12,
        ),
        encapsulated(
            deep.astype(np.int16),
            imagecodecs.jpeg2k_encode(deep.astype(np.int16), **jpeg_2000),
            dicoms.JPEG_2000,
            16,
        ),
        encapsulated(
            deep, imagecodecs.htj2k_encode(deep, reversible=True), dicoms.HTJ2K_LOSSLESS, 12
        ),
    )


def damage(whole: bytes, dice: random.Random) -> bytes:
    """Return a file with some of its bytes changed."""
    data = bytearray(whole)
    first = 132 if dice.random() < 0.8 else len(data) // 2
    for _ in range(dice.choice([1, 1, 2, 5, 20])):
        at = dice.randrange(min(first, len(data) - 1), len(data))
        if dice.random() < 0.5:  # where the structure is
            at = dice.randrange(132, min(len(data), 1200))
        match dice.randrange(6):
            case 0 | 1:
                data[at] ^= 1 << dice.randrange(8)
            case 2:
                data[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF])
            case 3:
                data[at : at + 4] = dice.randbytes(4)
            case 4:
                del data[at : at + dice.choice([1, 2, 8, 100])]
            case _:
                data[at:at] = data[at : at + dice.choice([1, 4, 64])]
        if len(data) < 200:
            break
    data[128:132] = b"DICM"
    return bytes(data)


class Dicoms(Target):
    """Of every coding; the processes that decode count as its own."""

    name = "dicom"
    suffix = "dcm"
    share = 8

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged files."""
        return damaged(seeds(), first, count, damage)

    def run(self, data: bytes) -> str:
        """Decode and resize."""
        return read(data, NORMAL_LIMITS)

    def processes(self) -> list[int]:
        """Return those of the pool of decoders."""
        return [each.process.pid for each in pool_of(os.getpid())._idle]
