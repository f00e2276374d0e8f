"""Hostile DICOM files: refused, within a second and 200 MB, the decoding process with it."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from app.errors import RequestError
from app.image.decode import decode
from tests import dicoms
from tests.conftest import ROOT
from tests.dicoms import element, elements, encapsulated, file_meta, header, native

GREY = np.asarray(Image.open(ROOT / "examples" / "normal.jpg").convert("L").resize((320, 256)))
ENCODED: dict[str, Callable[[], bytes]] = {
    dicoms.RLE: lambda: dicoms.rle(GREY),
    dicoms.JPEG: lambda: imagecodecs.jpeg8_encode(GREY, level=90),
    dicoms.JPEG_LOSSLESS: lambda: imagecodecs.jpeg8_encode(GREY, lossless=True),
    dicoms.JPEG_LS: lambda: imagecodecs.jpegls_encode(GREY),
    dicoms.JPEG_2000_LOSSLESS: lambda: imagecodecs.jpeg2k_encode(
        GREY, level=0, codecformat="j2k", reversible=True
    ),
    dicoms.HTJ2K_LOSSLESS: lambda: imagecodecs.htj2k_encode(GREY, reversible=True),
}


def deflate_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(struct.pack("<HH2sHI", 9, 0x1000, b"UN", 0, 1_500_000_000))
    zeros = bytes(1_000_000)
    packed += b"".join(packer.compress(zeros) for _ in range(1500)) + packer.flush()
    return file_meta(dicoms.DEFLATED) + packed


def lying_size(syntax: str) -> bytes:
    return encapsulated(GREY, ENCODED[syntax](), syntax, x00280010=65535, x00280011=65535)


def lying_codestream(syntax: str) -> bytes:
    data = ENCODED[syntax]()
    if syntax in (dicoms.JPEG_2000_LOSSLESS, dicoms.HTJ2K_LOSSLESS):
        data = data[:8] + struct.pack(">II", 60000, 60000) + data[16:]
    else:
        mark = {dicoms.JPEG: b"\xff\xc0", dicoms.JPEG_LOSSLESS: b"\xff\xc3"}.get(
            syntax, b"\xff\xf7"
        )
        at = data.index(mark) + 5
        data = data[:at] + struct.pack(">HH", 60000, 60000) + data[at + 4 :]
    return encapsulated(GREY, data, syntax)


def tiny_tiles() -> bytes:
    data = ENCODED[dicoms.JPEG_2000_LOSSLESS]()
    data = data[:24] + struct.pack(">II", 1, 1) + data[32:]
    return encapsulated(GREY, data, dicoms.JPEG_2000_LOSSLESS)


def rle_bomb() -> bytes:
    runs = b"\x81\0" * 4_000_000  # 128 zeros each: half a gigabyte
    data = struct.pack("<16I", 1, 64, *[0] * 14) + runs
    return encapsulated(GREY, data, dicoms.RLE)


def behind_meta(data: bytes) -> bytes:
    return file_meta(dicoms.EXPLICIT) + data


def nested() -> bytes:
    level = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return behind_meta((level + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 3000)


def nested_by_length() -> bytes:
    value = b""
    for _ in range(3000):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
        value = struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, len(item)) + item
    return behind_meta(elements(header(GREY)) + value + element(0x7FE00010, "OB", GREY.tobytes()))


def many(count: int = 300_000) -> bytes:
    heads = ((9 + 2 * (index >> 12), 0x1000 + (index & 0xFFF)) for index in range(count))
    return b"".join(struct.pack("<HH2sH2s", *head, b"SH", 2, b"a ") for head in heads)


def many_in_a_sequence() -> bytes:
    item = many()
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    value = element(0x00283010, "SQ", item)
    return behind_meta(elements(header(GREY)) + value + element(0x7FE00010, "OB", GREY.tobytes()))


def many_charsets() -> bytes:
    return behind_meta(
        element(0x00080005, "UT", b"a\\" * 2_000_000) + element(0x7FE00010, "OB", GREY.tobytes())
    )


def many_small_charsets() -> bytes:
    item = element(0x00080005, "CS", b"a\\" * 500)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    head = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return behind_meta(head + item * 10_000)


def many_windows() -> bytes:
    numbers = b"1\\" * 3_000_000
    more = {0x00281050: numbers, 0x00281051: numbers}
    return (
        file_meta(dicoms.IMPLICIT)
        + elements(header(GREY) | more, dicoms.IMPLICIT)
        + element(0x7FE00010, "OB", GREY.tobytes(), dicoms.IMPLICIT)
    )


def many_fragments() -> bytes:
    return (
        file_meta(dicoms.JPEG)
        + elements(header(GREY))
        + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    )


def many_segments() -> bytes:
    data = b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000 + b"\xff\xd9"
    return encapsulated(GREY, data, dicoms.JPEG)


def cut(syntax: str) -> bytes:
    data = ENCODED[syntax]()
    return encapsulated(GREY, data[: len(data) // 2], syntax)


def whole() -> bytes:
    return native(GREY)


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "deflate bomb": (deflate_bomb, "dicom_unsupported"),
    "lying size, uncompressed": (
        lambda: native(GREY, x00280010=65535, x00280011=65535), "image_too_many_pixels",
    ),
    "large size, few pixels": (
        lambda: native(GREY, x00280010=7000, x00280011=7000), "image_truncated",
    ),
    **{
        f"lying size, {syntax}": (
            (lambda syntax=syntax: lying_size(syntax)), "image_too_many_pixels",
        )
        for syntax in ENCODED
    },
    **{
        f"large size, RLE of few pixels, {side}": (
            (lambda side=side: encapsulated(
                GREY, ENCODED[dicoms.RLE](), dicoms.RLE, x00280010=side, x00280011=side
            )),
            "image_undecodable",
        )
        for side in (300, 2000)
    },
    **{
        f"lying codestream, {syntax}": (
            (lambda syntax=syntax: lying_codestream(syntax)), "image_undecodable",
        )
        for syntax in ENCODED if syntax != dicoms.RLE
    },
    "tiny tiles": (tiny_tiles, "dicom_unsupported"),
    "RLE bomb": (rle_bomb, "image_undecodable"),
    "3,000 nested sequences": (nested, "dicom_unsupported image_undecodable"),
    "3,000 nested by length": (nested_by_length, "dicom_unsupported image_undecodable"),
    "300,000 elements": (lambda: behind_meta(many()), "dicom_unsupported"),
    "300,000 elements in a sequence": (many_in_a_sequence, "dicom_unsupported"),
    "2,000,000 character sets": (many_charsets, "dicom_unsupported"),
    "character sets in items": (many_small_charsets, "dicom_unsupported image_undecodable"),
    "3,000,000 windows": (many_windows, "read"),
    "1,000,000 fragments": (many_fragments, "image_undecodable"),
    "1,000,000 segments": (many_segments, "image_undecodable"),
    "half": (lambda: whole()[: len(whole()) // 2], "image_truncated"),
    "the head": (lambda: whole()[:400], "image_truncated"),
    **{
        f"half, {syntax}": ((lambda syntax=syntax: cut(syntax)), "image_truncated")
        for syntax in ENCODED if syntax != dicoms.RLE
    },
    "half, RLE": (lambda: cut(dicoms.RLE), "image_undecodable"),
    "ELF and DICOM": (lambda: b"\x7fELF" + whole()[4:], "read"),
    "PNG and DICOM": (lambda: b"\x89PNG\r\n\x1a\n" + whole()[8:], "image_undecodable"),
    "JPEG and DICOM": (lambda: b"\xff\xd8\xff\xe0" + whole()[4:], "image_undecodable"),
    "a length of 4 GB": (
        lambda: behind_meta(struct.pack("<HH2sHI", 8, 8, b"UT", 0, 0xFFFFFFF0) + b"abc"),
        "image_truncated",
    ),
    "pixels of 4 GB": (
        lambda: behind_meta(
            elements(header(GREY)) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFF0)
        ),
        "image_truncated",
    ),
    "an odd length": (
        lambda: behind_meta(
            elements(header(GREY)) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 3) + b"abc"
        ),
        "image_truncated",
    ),
    "uncompressed as compressed": (
        lambda: file_meta(dicoms.JPEG) + whole()[len(file_meta(dicoms.EXPLICIT)) :],
        "image_undecodable",
    ),
    "no pixels": (lambda: behind_meta(elements(header(GREY))), "image_truncated"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused(name: str) -> None:
    make, codes = FILES[name]
    assert outcome(make()) in codes.split()


def outcome(data: bytes) -> str:
    try:
        decode(data)
    except RequestError as error:
        return error.code
    return "read"


MEASURE = """
import json, os, resource, sys, time
from pathlib import Path
from tests.app.image.dicom.test_hostile import outcome, whole, encapsulated, GREY, ENCODED
from app.image.dicom.codec_pool import pool_of
from tests import dicoms

for syntax in (dicoms.JPEG_LS, dicoms.JPEG_2000_LOSSLESS):
    outcome(encapsulated(GREY, ENCODED[syntax](), syntax))

def peak_kb():
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dead = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    theirs = [dead]
    for each in pool_of(os.getpid())._idle:
        status = Path(f"/proc/{each.process.pid}/status").read_text()
        theirs += [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    return ours, max(theirs)

data = Path(sys.argv[1]).read_bytes()
outcome(whole())
before = peak_kb()
started, worked = time.perf_counter(), time.process_time()
code = outcome(data)
seconds, cpu_s = time.perf_counter() - started, time.process_time() - worked
grown = sum(after - old for after, old in zip(peak_kb(), before))
print(json.dumps({"code": code, "seconds": seconds, "cpu_s": cpu_s, "grown_mb": grown / 1024}))
"""


@pytest.mark.alone
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_takes_a_second_and_200_mb_at_most(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    make, codes = FILES[name]
    path = tmp_path / "hostile.dcm"
    path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    figures = json.loads(done.stdout)
    record_property(name, figures)
    assert figures["code"] in codes.split()
    assert figures["cpu_s"] < 1
    assert figures["seconds"] < 10  # others may be at work here; a hang would be longer
    assert figures["grown_mb"] < 200
