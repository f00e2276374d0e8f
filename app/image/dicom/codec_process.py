"""The process that decodes compressed pixels, and may die of them: run as a script of its own.

It imports nothing of `app`, inherits one socket and no other file, and takes jobs from it until it
closes or the parent ends: a few lines of JSON and the descriptor of a piece of memory that holds
the codestream, and in which the pixels are left. So nothing is written to disk, and nothing is left
behind.
"""

import ctypes
import io
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

DONE: Final = b"\1"
FAILED: Final = b"\0"
_PR_SET_PDEATHSIG: Final = 1  # prctl(2); one that is stopped sees no end of its socket
_MOST_JOB_BYTES: Final = 4096
_ROOM_BYTES: Final = 64 << 20
_ROOM_PER_SAMPLE: Final = 24  # OpenJPEG works in 32 bits, on copies
_STATM: Final = Path("/proc/self/statm")

Array = NDArray[Any]
Job = dict[str, Any]


def main() -> None:
    """Serve the socket whose descriptor is the first argument; the second is the parent's id."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != int(sys.argv[2]):
        return  # it ended before it could be asked for the signal
    Image.MAX_IMAGE_PIXELS = None  # the size was held to a limit before
    jobs = socket.socket(fileno=int(sys.argv[1]))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    while True:
        message, descriptors, _, _ = socket.recv_fds(jobs, _MOST_JOB_BYTES, 1)
        if not message:
            return  # the parent has closed it, or is gone
        job = json.loads(message)
        samples = job["width"] * job["height"] * job["components"]
        used = int(_STATM.read_text().split()[0]) * mmap.PAGESIZE
        most = used + _ROOM_BYTES + _ROOM_PER_SAMPLE * samples + 2 * job["bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        signal.setitimer(signal.ITIMER_PROF, job["cpu_s"])  # both end the process
        signal.setitimer(signal.ITIMER_REAL, job["wall_s"])
        try:
            work(job, descriptors[0])
            answer = DONE
        except Exception:  # noqa: BLE001 - decoders raise anything; the caller says what it is
            answer = FAILED
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        os.close(descriptors[0])
        jobs.send(answer)


def work(job: Job, descriptor: int) -> None:
    """Decode what the memory holds into where its pixels belong."""
    data = os.pread(descriptor, job["bytes"], 0)
    pixels = DECODERS[job["coding"]](data, job)
    if list(pixels.shape) != job["shape"] or pixels.itemsize != job["itemsize"]:
        raise ValueError
    rest = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data
    at = job["out_at"]
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def _decode_rle(data: bytes, job: Job) -> Array:
    planes = (job["components"], job["height"], job["width"])
    decoded = imagecodecs.dicomrle_decode(data, f"<u{job['itemsize']}")
    pixels = np.frombuffer(decoded, f"<u{job['itemsize']}").reshape(planes)
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def _decode_jpeg(data: bytes, job: Job) -> Array:
    space = job["space"] if job["components"] > 1 else None  # as it is stored: no transform
    pixels: Array = imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
    return pixels


def _decode_jpeg_ls(data: bytes, _job: Job) -> Array:
    pixels: Array = imagecodecs.jpegls_decode(data)
    return pixels


def _decode_jpeg_2000(data: bytes, job: Job) -> Array:
    if job["signed"]:
        signed: Array = imagecodecs.jpeg2k_decode(data)
        words: Array = signed.view(f"u{signed.itemsize}")
        return words
    with Image.open(io.BytesIO(data), formats=["JPEG2000"]) as image:
        image.reduce = job["reduce"]  # type: ignore[method-assign]
        image.load()
        pixels: Array = np.asarray(image)
    if pixels.dtype == np.uint16:
        pixels = pixels >> (16 - job["bits"])  # Pillow shifts to 16 bits
    return pixels


DECODERS: Final[dict[str, Callable[[bytes, Job], Array]]] = {
    "rle": _decode_rle,
    "jpeg": _decode_jpeg,
    "jpeg_ls": _decode_jpeg_ls,
    "jpeg_2000": _decode_jpeg_2000,
}

if __name__ == "__main__":
    main()
