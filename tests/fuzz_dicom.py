"""Damaged DICOM files by the hundred thousand: none but a refusal, none slow, no growth.

    .venv-dev/bin/python -m tests.fuzz_dicom --inputs 200000

A number names each input: the same run gives the same files. Bits are flipped, bytes cut out,
doubled or overwritten, in headers and in codestreams of every coding. Prints how many ended how.
"""

import argparse
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np

from app.errors import RequestError
from app.image.decode import decode
from app.image.dicom.codec_pool import pool_of
from tests import dicoms
from tests.dicoms import Value, encapsulated, native

SLOW_S = 1.0
GROWN_MB = 200


def seeds() -> list[bytes]:
    """Return whole files, small ones, of every coding."""
    ramp = np.add.outer(np.arange(64), np.arange(72))
    grey = (ramp % 251).astype(np.uint8)
    deep = (ramp * 29 % 4096).astype(np.uint16)
    rgb = np.dstack([grey, grey[::-1], 255 - grey])
    lut: list[dict[int, Value]] = [{0x00283002: [16, 0, 8], 0x00283006: list(range(16))}]
    more: dict[str, Value] = {
        "x00080005": "ISO_IR 192",
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
    return [
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
    ]


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


def end_of(data: bytes) -> tuple[str, float]:
    """Return how a file ended, and the seconds it took."""
    started = time.perf_counter()
    try:
        decode(data)
        end = "read"
    except RequestError as error:
        end = error.code if error.status < 500 else f"FAILED: {error.code}"
    except Exception as error:  # noqa: BLE001 - what is looked for
        end = f"FAILED: {type(error).__name__}"
    return end, time.perf_counter() - started


def rss_mb() -> float:
    """Return the megabytes of this process and of those that decode."""
    ids = [os.getpid(), *(each.process.pid for each in pool_of(os.getpid())._idle)]
    pages = 0
    for process_id in ids:
        with open(f"/proc/{process_id}/statm", encoding="ascii") as file:  # noqa: PTH123
            pages += int(file.read().split()[1])
    return pages * resource.getpagesize() / 2**20


def fuzz(inputs: int, first: int = 0, threads: int = 1) -> tuple[Counter[str], list[int]]:
    """Decode damaged files; return how they ended, and the numbers of those that were slow."""
    files = seeds()

    def one(number: int) -> tuple[str, float]:
        dice = random.Random(number)  # noqa: S311 - to be repeated
        return end_of(damage(dice.choice(files), dice))

    with ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(one, range(first, first + inputs)))
    slow = [first + index for index, (_, seconds) in enumerate(ends) if seconds > SLOW_S]
    return Counter(end for end, _ in ends), slow


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and print; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    total: Counter[str] = Counter()
    slow: list[int] = []
    block, before = 2000, 0.0
    for first in range(options.first, options.first + options.inputs, block):
        count = min(block, options.first + options.inputs - first)
        ends, late = fuzz(count, first, options.threads)
        total += ends
        slow += late
        before = before or rss_mb()
        print(f"{total.total()} inputs, {rss_mb():.0f} MB, slow: {slow}, {dict(total)}", flush=True)
    failed = any(end.startswith("FAILED") for end in total)
    return int(failed or rss_mb() - before > GROWN_MB)


if __name__ == "__main__":
    sys.exit(main())
