"""The processes that decode compressed pixels: started when needed, replaced when they die.

Decoders of JPEG 2000 and its kin write beyond their memory, abort and hang on hostile bytes. So
they run in processes of their own, bounded in memory and time; one that dies is an image that can't
be decoded, and nothing else.
"""

import atexit
import functools
import json
import mmap
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, fcntl
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import ImageUndecodable, Overloaded
from app.image.dicom.file_meta import Coding
from app.image.grey_image import NORMAL_LIMITS
from app.machine import count_cpus

if find_spec("imagecodecs") is None:  # or each decoding would fail in a process of its own
    raise ModuleNotFoundError(name="imagecodecs")

_SCRIPT: Final = Path(__file__).with_name("codec_process.py")
_DONE: Final = b"\1"
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
# One thread, and memory kept for the next image: to take it anew costs a third of a decoding.
_LEAN: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_ALIGNED: Final = 64

# A JPEG 2000 of 5 megapixels takes 1 s at most on the slowest machine tried.
_CPU_S: Final = 2.0
_CPU_S_PER_PIXEL: Final = 0.5e-6
_WAIT_SHARE: Final = 0.5  # of the limit, for a process to come free; the rest is the decoder's
_MARGIN_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Task:
    """What a decoder has to know: sizes in pixels, `bits` of a sample, `itemsize` in bytes.

    Attributes
    ----------
    reduce : how often JPEG 2000's resolution is halved
    space : of JPEG's colours, as they are stored
    """

    coding: Coding
    width: int
    height: int
    components: int
    bits: int
    itemsize: int
    signed: bool = False
    reduce: int = 0
    space: Literal["RGB", "YCBCR"] = "RGB"

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Return [height, width] or [height, width, components] of what comes out."""
        size = tuple(-(-side // (1 << self.reduce)) for side in (self.height, self.width))
        return size if self.components == 1 else (*size, self.components)

    @property
    def cpu_s(self) -> float:
        """Return the seconds of a CPU after which it is given up."""
        return _CPU_S + _CPU_S_PER_PIXEL * self.width * self.height * self.components


class CodecProcess:
    """One process that decodes, and this end of its socket."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", str(_SCRIPT), str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment | _LEAN,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C ends the service, and that ends this
            )

    def run(self, message: bytes, descriptor: int, wall_s: float) -> bool:
        """Have a job done; False if it failed, or the process did not outlive it."""
        try:
            self._socket.settimeout(wall_s)
            socket.send_fds(self._socket, [message], [descriptor])
            answer = self._socket.recv(1)
        except OSError:  # a timeout is one too
            answer = b""
        if not answer:
            self.close()
        return answer == _DONE

    @property
    def is_alive(self) -> bool:
        """Whether it takes jobs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self.process.kill()
        self.process.wait()


class CodecPool:
    """Processes for as many jobs at a time as there are CPUs, each started when it is needed.

    A process ends with the thread that started it (prctl(2), PR_SET_PDEATHSIG). So all are started
    by one that lives as long as this process does.
    """

    def __init__(self, most: int) -> None:
        self._free = threading.Semaphore(most)
        self._idle: list[CodecProcess] = []
        self._wanted: queue.SimpleQueue[Future[CodecProcess]] = queue.SimpleQueue()
        threading.Thread(target=self._start_wanted, name="codecs", daemon=True).start()

    @contextmanager
    def lend(self, wait_s: float) -> Iterator[CodecProcess]:
        """Lend a process; what comes back alive is lent again.

        Raises
        ------
        Overloaded
            If none comes free in time.
        """
        if not self._free.acquire(timeout=wait_s):
            raise Overloaded(retry_after_s=1)
        try:
            process = next((each for each in self._take_idle() if each.is_alive), None)
            process = process or self._start()
            try:
                yield process
            except BaseException:
                process.close()
                raise
            if process.is_alive:
                self._idle.append(process)
        finally:
            self._free.release()

    def _start(self) -> CodecProcess:
        started: Future[CodecProcess] = Future()
        self._wanted.put(started)
        return started.result()

    def _start_wanted(self) -> None:
        while True:
            started = self._wanted.get()
            try:
                started.set_result(CodecProcess())
            except Exception as error:  # noqa: BLE001 - who wanted it is told, others get theirs
                started.set_exception(error)
            del started  # or it would be held until the next

    def _take_idle(self) -> Iterator[CodecProcess]:
        while True:
            try:
                yield self._idle.pop()
            except IndexError:
                return

    def close(self) -> None:
        """End all that are idle."""
        for process in self._take_idle():
            process.close()


@functools.cache
def pool_of(process_id: int) -> CodecPool:
    """Return the pool of a process; one that was forked needs another than its parent's."""
    pool = CodecPool(count_cpus())

    def close() -> None:
        if os.getpid() == process_id:
            pool.close()

    atexit.register(close)
    return pool


def decode(data: bytes, task: Task, limit_s: float = NORMAL_LIMITS.decode_s) -> NDArray[Any]:
    """Decode a codestream in another process.

    Parameters
    ----------
    limit_s : seconds from now on, whether they are spent waiting or decoding

    Returns
    -------
    uint8 or uint16, of the task's `out_shape`; read only

    Raises
    ------
    ImageUndecodable
        If it can't be decoded, or not within its bounds of time and memory.
    Overloaded
        If half of the time is over and others are still being decoded.
    """
    begun_s = time.monotonic()
    out_at = -(-len(data) // _ALIGNED) * _ALIGNED
    shape = task.out_shape
    size = out_at + int(np.prod(shape)) * task.itemsize
    told = asdict(task) | {
        "bytes": len(data),
        "out_at": out_at,
        "shape": shape,
        "cpu_s": task.cpu_s,
    }
    descriptor = os.memfd_create("neumo-codec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        # Or a decoder that was taken over could cut off what is read here: SIGBUS.
        fcntl(descriptor, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK)
        _write(descriptor, data)
        with pool_of(os.getpid()).lend(_WAIT_SHARE * limit_s) as process:
            wall_s = begun_s + limit_s - time.monotonic()
            message = json.dumps(told | {"wall_s": wall_s}).encode()
            done = process.run(message, descriptor, wall_s + _MARGIN_S)
        if not done:
            raise ImageUndecodable(format="DICOM")
        memory = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    return np.frombuffer(memory, f"u{task.itemsize}", int(np.prod(shape)), out_at).reshape(shape)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
