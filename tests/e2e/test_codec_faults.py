"""A process that decodes and dies costs its own image, under load, and nothing else."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import dicoms
from tests.server import Server, predict, running

if not (util.find_spec("pydicom") and util.find_spec("imagecodecs")):
    pytest.skip("the extra dicom is not installed", allow_module_level=True)

import imagecodecs

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def film(examples: dict[str, Path], side: int) -> bytes:
    """Write a drawn radiograph as JPEG-LS of 12 bits."""
    large = Image.open(examples["normal"]).convert("L").resize((side, side))
    grain = np.random.default_rng(0).integers(0, 16, (side, side), np.uint16)
    pixels: NDArray[np.uint16] = np.asarray(large).astype(np.uint16) * 16 + grain
    return dicoms.encapsulated(
        pixels, imagecodecs.jpegls_encode(pixels), dicoms.JPEG_LS, 12,
        x00281050="2048", x00281051="4096",
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(examples: dict[str, Path]) -> bytes:
    return film(examples, 400)


@pytest.fixture(scope="module")
def slow(examples: dict[str, Path]) -> bytes:
    """A film that takes about a second."""
    return film(examples, 4400)


@pytest.fixture(scope="module")
def reading() -> Iterator[Server]:
    with running("--threads", "4") as server:
        yield server


def codecs_of(worker: int) -> list[int]:
    """Return the process ids of what decodes for a worker."""
    found = []
    for task in Path(f"/proc/{worker}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(4000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it never was")


def load(server: Server, files: list[bytes], ended: threading.Event, codes: list[int]) -> None:
    """Send files one after the other until it has ended."""
    while not ended.is_set():
        codes += [predict(server, data)[0] for data in files]


@pytest.mark.alone
@pytest.mark.parametrize("how", ["SIGKILL", "SIGABRT", "SIGSEGV"])
def test_one_that_dies_in_mid_decode_is_a_422_and_nobody_else_notices(
    reading: Server, examples: dict[str, Path], jpeg: bytes, small: bytes, slow: bytes, how: str
) -> None:
    native = (examples["normal"].parent / "normal.dcm").read_bytes()
    assert predict(reading, slow)[0] == 200
    (worker,) = reading.workers
    (codec,) = codecs_of(worker)
    before_s = cpu_s(codec)

    ended = threading.Event()
    codes: list[int] = []
    others = [
        threading.Thread(target=load, args=(reading, [jpeg, native], ended, codes))
        for _ in range(3)
    ]
    answer: list[tuple[int, bytes]] = []
    lost = threading.Thread(target=lambda: answer.append(predict(reading, slow)))
    for thread in (*others, lost):
        thread.start()
    wait_until(lambda: cpu_s(codec) > before_s + 0.1)  # it is in mid-decode
    os.kill(codec, getattr(signal, how))
    lost.join(20)
    ended.set()
    for thread in others:
        thread.join(20)

    ((status, body),) = answer
    assert (status, json.loads(body)["code"]) == (422, "image_undecodable")
    assert len(codes) > 3
    assert set(codes) == {200}
    assert predict(reading, small)[0] == 200
    assert predict(reading, slow)[0] == 200
    assert reading.workers == [worker]
    assert codec not in codecs_of(worker)
    lines = reading.log_text()
    assert "exception" not in lines
    assert "is replaced" not in lines


@pytest.mark.alone
def test_one_that_hangs_without_a_cpu_is_a_422_and_costs_no_worker(
    reading: Server, jpeg: bytes, small: bytes
) -> None:
    assert predict(reading, small)[0] == 200
    (worker,) = reading.workers
    (codec,) = codecs_of(worker)
    os.kill(codec, signal.SIGSTOP)
    begun_s = time.monotonic()
    answer: list[tuple[int, bytes]] = []
    hung = threading.Thread(target=lambda: answer.append(predict(reading, small)))
    hung.start()
    assert predict(reading, jpeg)[0] == 200  # beside it
    hung.join(20)
    assert time.monotonic() - begun_s < 4.5  # the deadline is 5
    ((status, body),) = answer
    assert (status, json.loads(body)["code"]) == (422, "image_undecodable")
    assert predict(reading, small)[0] == 200
    assert reading.workers == [worker]
    assert codec not in codecs_of(worker)
    assert "is replaced" not in reading.log_text()


def test_what_decodes_ends_with_its_worker(small: bytes) -> None:
    with running() as server:
        assert predict(server, small)[0] == 200
        (worker,) = server.workers
        codecs = codecs_of(worker)
        assert len(codecs) == 1
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in codecs))


@pytest.mark.parametrize("how", ["SIGCONT", "SIGSTOP"])
def test_what_decodes_ends_with_a_worker_that_was_killed(small: bytes, how: str) -> None:
    with running() as server:
        assert predict(server, small)[0] == 200
        (worker,) = server.workers
        (codec,) = codecs_of(worker)
        os.kill(codec, getattr(signal, how))
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{codec}").exists())
        wait_until(lambda: server.workers != [worker] and bool(server.workers))
        wait_until(lambda: predict(server, small)[0] == 200)


def test_no_process_decodes_for_who_sends_none(jpeg: bytes) -> None:
    with running() as server:
        assert predict(server, jpeg)[0] == 200
        assert codecs_of(server.workers[0]) == []
