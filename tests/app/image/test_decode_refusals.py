"""app.image.decode: what is not decoded, why, and that a refusal leaks nothing."""

import io
import os
import sys
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
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
from app.image import jpeg, png
from app.image.decode import decode
from app.image.grey_image import Limits
from app.image.resize import resize
from app.render.problem import render_problem
from tests.images import (
    PNG_SIGNATURE,
    RGB,
    bomb_png,
    build_png,
    encode,
    noise,
    png_chunk,
    png_header,
    png_pixels,
    with_jpeg_size,
    with_valid_checksums,
)

TINY = Limits(min_side_px=1)
PATIENT = b"DOE^JANE"


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
    """Check that no decoder is ever asked for pixels."""
    calls: list[object] = []
    # Not `calls.append` itself: a builtin is given no self, and its TypeError would be a refusal.
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: calls.append(image))  # noqa: PLW0108
    monkeypatch.setattr(png, "decode_plain", lambda *given: calls.append(given))
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


@pytest.mark.alone
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


def test_100_scans_are_no_reason_to_refuse() -> None:
    assert jpeg.read_structure(with_scans(100)).is_sane
    assert jpeg.read_structure(with_scans(100)).scans == 100
    assert not jpeg.read_structure(with_scans(101)).is_sane


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


def test_metadata_and_fill_bytes_are_passed_over_and_stray_bytes_are_damage() -> None:
    data = encode(noise(64, 64), "JPEG")
    between = b"\xff\xfe\0\7hello" + b"\xff\xff\xff"
    assert decode(data[:2] + between + data[2:]).pixels.tolist() == decode(data).pixels.tolist()
    with pytest.raises(ImageUndecodable):
        decode(data[:2] + between + b"stray" + data[2:])


@pytest.mark.parametrize(
    "piece", [b"\xff\x01", b"\xff\xd8", b"\xff", b"\xff\x00", b"\xff\xd0", b"\0", b"\xff\xfe\0\2"]
)
def test_a_head_without_end_is_counted_in_no_time(piece: bytes) -> None:
    data = b"\xff\xd8" + piece * (4_000_000 // len(piece))
    tracemalloc.start()
    begun_s = time.process_time()
    try:
        assert not jpeg.read_structure(data).is_sane
        spent_s = time.process_time() - begun_s
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spent_s < 0.5
    assert peak_bytes < 1_000_000


def test_many_scans_over_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(64, 64), "JPEG", progressive=True)
    scans = jpeg.read_structure(data).scans
    monkeypatch.setattr(jpeg, "_MAX_SCANNED_PIXELS", scans * 64 * 64)
    assert decode(data).pixels.shape == (64, 64)
    monkeypatch.setattr(jpeg, "_MAX_SCANNED_PIXELS", scans * 64 * 64 - 1)
    with pytest.raises(ImageUndecodable):
        decode(data)


def test_a_mark_of_a_lossless_frame_anywhere_in_the_image_is_seen() -> None:
    """What libjpeg would scale to harm is not scaled, whatever else there is of it."""
    data = encode(noise(64, 64), "JPEG")
    assert not jpeg.read_structure(data).may_be_lossless
    for frame in (b"\xff\xc3", b"\xff\xc7", b"\xff\xcb", b"\xff\xcf"):
        comment = b"\xff\xfe\0\6" + frame + b"  "
        assert jpeg.read_structure(data[:2] + comment + data[2:]).may_be_lossless
        as_if = data.replace(b"\xff\xc0", frame, 1)
        assert jpeg.read_structure(as_if).may_be_lossless


@pytest.mark.parametrize("progressive", [False, True])
def test_what_lies_behind_the_image_is_not_counted(progressive: bool) -> None:
    data = encode(noise(64, 64), "JPEG", progressive=progressive)
    motion_photo = data + b"\xff\xda\xff\xc3" * 50_000
    assert jpeg.read_structure(motion_photo) == jpeg.read_structure(data)
    assert decode(motion_photo).pixels.tolist() == decode(data).pixels.tolist()


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


@pytest.mark.parametrize("bits", [8, 16])
def test_a_second_header_does_not_let_16_bits_through(bits: int) -> None:
    samples = np.array([[1000, 2000], [3000, 6000]])
    first = PNG_SIGNATURE + png_header(2, 2, bits)
    with pytest.raises(ImageUndecodable):
        decode(build_png(samples, 16).replace(PNG_SIGNATURE, first), TINY)


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
    shown = f"{error!r} {render_problem(error, 'id', 'en')} {render_problem(error, 'id', 'es')}"
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
