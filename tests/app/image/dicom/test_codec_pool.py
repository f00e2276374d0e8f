"""app.image.dicom.codec_pool: a decoder may die, hang and eat memory; an image fails, no more."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from app.errors import ImageUndecodable, Overloaded
from app.image.decode import decode
from app.image.dicom import codec_pool, codec_process
from app.image.dicom.codec_pool import CodecPool, Task
from app.image.grey_image import Limits
from app.settings.settings import Settings
from tests import dicoms
from tests.conftest import ROOT

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 80), np.uint8)
CODESTREAM: bytes = imagecodecs.jpegls_encode(PIXELS)
TASK = Task("jpeg_ls", width=80, height=64, components=1, bits=8, itemsize=1)

Replace = Callable[[str], CodecPool]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[CodecPool]:
    """A pool of its own for this test, of two processes at most."""
    pool = CodecPool(2)
    monkeypatch.setattr(codec_pool, "pool_of", lambda _pid: pool)
    yield pool
    pool.close()


@pytest.fixture
def replace(pool: CodecPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Replace:
    """Have the decoder of JPEG-LS do something else, in processes that start from now on."""

    def replace(body: str) -> CodecPool:
        script = tmp_path / "script.py"
        script.write_text(
            "import runpy, os, time, numpy as np\n"
            f"names = runpy.run_path({codec_process.__file__!r}, run_name='codec')\n"
            f"def other(data, job):\n    {body}\n"
            "names['DECODERS']['jpeg_ls'] = other\nnames['main']()\n"
        )
        monkeypatch.setattr(codec_pool, "_SCRIPT", script)
        return pool

    return replace


def process_ids(pool: CodecPool) -> list[int]:
    return [each.process.pid for each in pool._idle]


def is_running(process_id: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.usefixtures("pool")
def test_pixels_come_back_as_they_were() -> None:
    assert (codec_pool.decode(CODESTREAM, TASK) == PIXELS).all()


def test_a_process_is_used_again(pool: CodecPool) -> None:
    codec_pool.decode(CODESTREAM, TASK)
    first = process_ids(pool)
    codec_pool.decode(CODESTREAM, TASK)
    assert process_ids(pool) == first
    assert len(first) == 1


def test_a_codestream_that_is_none_fails_and_the_process_lives(pool: CodecPool) -> None:
    codec_pool.decode(CODESTREAM, TASK)
    first = process_ids(pool)
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(b"no codestream", TASK)
    assert process_ids(pool) == first


@pytest.mark.usefixtures("pool")
def test_pixels_of_another_size_than_was_told_fail() -> None:
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(CODESTREAM, Task("jpeg_ls", 64, 80, 1, 8, 1))


@pytest.mark.parametrize("death", ["os.abort()", "os.kill(os.getpid(), 11)", "os._exit(0)"])
def test_a_process_that_dies_is_an_image_that_fails_and_is_replaced(
    replace: Replace, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    script = codec_pool._SCRIPT
    pool = replace(death)
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(CODESTREAM, TASK)
    assert process_ids(pool) == []
    monkeypatch.setattr(codec_pool, "_SCRIPT", script)
    assert (codec_pool.decode(CODESTREAM, TASK) == PIXELS).all()


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(60)"])
def test_a_process_that_hangs_is_ended(
    replace: Replace, monkeypatch: pytest.MonkeyPatch, hang: str
) -> None:
    monkeypatch.setattr(codec_pool, "_CPU_S", 0.3)
    replace(hang)
    started = time.monotonic()
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(CODESTREAM, TASK, 1.0)
    assert time.monotonic() - started < 1.9


def test_a_process_that_ends_neither_by_itself_is_killed(pool: CodecPool) -> None:
    codec_pool.decode(CODESTREAM, TASK)
    (process_id,) = process_ids(pool)
    os.kill(process_id, signal.SIGSTOP)
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(CODESTREAM, TASK, 0.2)
    assert not is_running(process_id)


def test_who_waits_for_a_process_waits_only_so_long(pool: CodecPool) -> None:
    with pool.lend(1), pool.lend(1):  # all there are
        started = time.monotonic()
        with pytest.raises(Overloaded) as refusal:
            codec_pool.decode(CODESTREAM, TASK, 0.4)
        assert 0.2 <= time.monotonic() - started < 0.4
    assert refusal.value.facts["retry_after_s"] == 1
    assert (codec_pool.decode(CODESTREAM, TASK) == PIXELS).all()


def test_what_hangs_is_told_long_before_the_deadline_and_the_end_of_its_worker() -> None:
    settings = Settings()
    longest_s = settings.limits.decode_s + codec_pool._MARGIN_S
    assert longest_s <= 0.8 * min(settings.deadline_s, settings.worker_timeout_s)
    assert Limits().decode_s == settings.limits.decode_s
    assert Settings(deadline_s=60, worker_timeout_s=100).limits.decode_s == pytest.approx(42)
    assert Settings(deadline_s=60).limits.decode_s == pytest.approx(7)


def test_a_process_outlives_the_thread_that_wanted_it(pool: CodecPool) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(codec_pool.decode, CODESTREAM, TASK).result()
    (process_id,) = process_ids(pool)
    time.sleep(0.1)
    assert is_running(process_id)
    codec_pool.decode(CODESTREAM, TASK)
    assert process_ids(pool) == [process_id]


def test_a_process_gets_no_more_memory_than_an_image_needs(replace: Replace) -> None:
    replace("return np.ones(400_000_000, np.uint8)")
    with pytest.raises(ImageUndecodable):
        codec_pool.decode(CODESTREAM, TASK)
    replace("return np.full((64, 80), len(np.ones(30_000_000, np.uint8)) % 256, np.uint8)")


def test_one_killed_in_mid_decode_is_one_image_and_no_other_notices(pool: CodecPool) -> None:
    side = 1500
    noise = np.random.default_rng(0).integers(0, 65536, (side, side), np.uint16)
    slow = imagecodecs.jpeg2k_encode(noise, level=0, codecformat="j2k", reversible=True)
    task = Task("jpeg_2000", side, side, 1, 16, 2)
    codec_pool.decode(CODESTREAM, TASK)
    (victim,) = process_ids(pool)
    outcomes: list[str] = []

    def decode_slowly() -> None:
        try:
            codec_pool.decode(slow, task)
            outcomes.append("read")
        except ImageUndecodable:
            outcomes.append("undecodable")

    thread = threading.Thread(target=decode_slowly)
    thread.start()
    while process_ids(pool) == [victim]:  # until it has been lent
        time.sleep(0.001)
    time.sleep(0.05)
    with ThreadPoolExecutor(2) as others:
        running = [others.submit(codec_pool.decode, CODESTREAM, TASK) for _ in range(20)]
        os.kill(victim, signal.SIGKILL)
        assert all((each.result(20) == PIXELS).all() for each in running)
    thread.join(20)
    assert outcomes == ["undecodable"]
    assert not is_running(victim)


def test_there_are_no_more_processes_than_allowed(pool: CodecPool) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: codec_pool.decode(CODESTREAM, TASK), range(32)))
    assert 1 <= len(process_ids(pool)) <= 2


def test_a_process_inherits_a_socket_and_nothing_else(pool: CodecPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        codec_pool.decode(CODESTREAM, TASK)
        (process_id,) = process_ids(pool)
        links = [str(path.readlink()) for path in Path(f"/proc/{process_id}/fd").iterdir()]
    assert len([link for link in links if link != "/dev/null"]) == 1


def test_nothing_of_an_image_stays_open(pool: CodecPool) -> None:
    codec_pool.decode(CODESTREAM, TASK)
    (process_id,) = process_ids(pool)
    for who in ("self", str(process_id)):
        maps = Path(f"/proc/{who}/maps").read_text()
        assert "neumo-codec" not in maps
        for path in Path(f"/proc/{who}/fd").iterdir():
            assert not path.exists() or "neumo-codec" not in str(path.readlink())


@pytest.mark.parametrize(
    "first", ["", "os.kill(*process_ids(codec_pool.pool_of(os.getpid())), 19)"]
)
def test_the_processes_end_with_their_parent(first: str) -> None:
    code = (
        "import os, sys; from tests.app.image.dicom.test_codec_pool import *\n"
        "codec_pool.decode(CODESTREAM, TASK)\n"
        "print(*process_ids(codec_pool.pool_of(os.getpid())), flush=True)\n"
        f"{first}\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (process_id,) = map(int, done.stdout.split())
    for _ in range(500):
        if not is_running(process_id):
            return
        time.sleep(0.01)
    raise AssertionError("it lives on")


def test_a_forked_process_has_processes_of_its_own() -> None:
    assert codec_pool.pool_of(1) is not codec_pool.pool_of(2)


def test_a_file_whose_decoder_dies_is_undecodable(replace: Replace) -> None:
    replace("os.abort()")
    with pytest.raises(ImageUndecodable):
        decode(dicoms.encapsulated(PIXELS, CODESTREAM, dicoms.JPEG_LS))
