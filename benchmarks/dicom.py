"""How long a DICOM of 2048 x 2500, 12 in 16 bits, takes to 224 x 224 grey, beside pydicom's way.

    .venv-dev/bin/python -m benchmarks.dicom

pydicom's way is `dcmread`, `pixel_array`, `apply_modality_lut`, `apply_voi_lut`, scaled to 8 bits
and resized by Pillow: what a programmer would write. Its answer is right for these files only.
HTJ2K it decodes by a plugin that Neumo has no need of: pip install pylibjpeg pylibjpeg-openjpeg.

Both take turns on one core, the decoding process with them; medians, and the median of the ratios.
Time is what the core spent, which other work on the machine hardly changes; --wall tells what a
clock says. Neumo's holds the sha256 of the file, which every answer tells.
"""

import argparse
import io
import os
import statistics
import struct
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from app.image.decode import decode
from app.image.dicom.codec_pool import pool_of
from app.image.resize import SIDE_PX, resize

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "covid19.jpg"
WIDTH, HEIGHT, BITS = 2048, 2500, 12
BARS: Final = {"uncompressed": 4.0, "JPEG 2000 lossless": 2.5, "HTJ2K lossless": 3.0}
_GRAIN: Final = 6.0  # of 4096, a deviation: a film without compresses better than any detector's


def film() -> NDArray[np.uint16]:
    """Draw a radiograph, uint16 [2500, 2048], of 12 bits."""
    with Image.open(EXAMPLE) as file:
        large = file.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, _GRAIN, (HEIGHT, WIDTH))
    return (np.asarray(large, np.float64) * 16 + grain).clip(0, 4095).astype(np.uint16)


def write(pixels: NDArray[np.uint16], syntax: UID, codestream: bytes | None = None) -> bytes:
    """Write a computed radiograph with a window over all of its values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.10.1234.1")
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CR"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = encapsulate([codestream]) if codestream else pixels.tobytes()
    dataset["PixelData"].VR = "OB" if codestream else "OW"
    dataset["PixelData"].is_undefined_length = codestream is not None
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def files() -> dict[str, bytes]:
    """Return the film in each syntax."""
    pixels = film()
    deep = {"bitspersample": BITS}
    return {
        "uncompressed": write(pixels, ExplicitVRLittleEndian),
        "JPEG 2000 lossless": write(
            pixels,
            JPEG2000Lossless,
            imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, **deep),
        ),
        "HTJ2K lossless": write(
            pixels, HTJ2KLossless, imagecodecs.htj2k_encode(pixels, reversible=True)
        ),
        "JPEG-LS lossless": write(pixels, JPEGLSLossless, imagecodecs.jpegls_encode(pixels)),
        "JPEG lossless": write(
            pixels,
            JPEGLosslessSV1,
            imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, **deep),
        ),
    }


def by_neumo(data: bytes) -> NDArray[np.uint8]:
    """Decode as Neumo does."""
    return resize(decode(data))[0]


def by_pydicom(data: bytes) -> NDArray[np.uint8]:
    """Decode as pydicom's documentation does."""
    dataset = dcmread(io.BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    grey = np.rint(shown * (255 / ((1 << BITS) - 1))).astype(np.uint8)
    resized = Image.fromarray(grey).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _cpu_s() -> float:
    """Return the seconds that a core has spent on this process and on those that decode for it."""
    decoding = pool_of(os.getpid())._idle
    stats = [Path(f"/proc/{each.process.pid}/schedstat").read_text() for each in decoding]
    return time.process_time() + sum(int(stat.split()[0]) for stat in stats) / 1e9


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    call()
    return clock() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--wall", action="store_true", help="by the clock, not the core's time")
    options = parser.parse_args()
    rounds, clock = options.rounds, time.perf_counter if options.wall else _cpu_s
    warnings.filterwarnings("ignore", module="pydicom")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print("| 2048 x 2500, 12 in 16 bit | MB | Neumo, ms | pydicom, ms | faster | bar | off by |")
    print("|---|---|---|---|---|---|---|")
    for name, data in files().items():
        size = f"{len(data) / 1e6:.1f}"
        ours = by_neumo(data)
        bar = BARS.get(name, "")
        try:
            theirs = by_pydicom(data)
        except (RuntimeError, NotImplementedError, struct.error):
            neumo = statistics.median(
                _seconds(partial(by_neumo, data), clock) for _ in range(rounds)
            )
            print(f"| {name} | {size} | {neumo * 1000:.0f} | has no decoder | | {bar} | |")
            continue
        off = int(np.abs(ours.astype(int) - theirs).max())
        times = [
            (_seconds(partial(by_neumo, data), clock), _seconds(partial(by_pydicom, data), clock))
            for _ in range(rounds)
        ]
        neumo, pydicom = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(theirs / ours for ours, theirs in times)
        figures = (
            f"{neumo * 1000:.0f} | {pydicom * 1000:.0f} | {ratio:.1f} x | {bar} | {off} of 255"
        )
        print(f"| {name} | {size} | {figures} |")


if __name__ == "__main__":
    main()
