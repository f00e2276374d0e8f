"""The allocator: one heap for all threads, not one for each."""

import ctypes
import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, sys, threading
from app.allocator import tune_allocator
assert sys.argv[1] == "plain" or tune_allocator()
gate = threading.Barrier(5)
def use():
    held = [bytearray(100_000) for _ in range(100)]
    gate.wait()
    gate.wait()
threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads:
    thread.start()
gate.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
gate.wait()
"""


def heaps(mode: str) -> int:
    command = [sys.executable, "-c", COUNT_HEAPS, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="it is glibc's allocator"
)
def test_threads_share_one_heap() -> None:
    assert heaps("plain") > 1
    assert heaps("tuned") == 1
