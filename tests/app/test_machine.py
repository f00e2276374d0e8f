"""app.machine: CPUs by affinity and quota, one heap for all threads, VNNI by the CPU's flags."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from app.machine import count_cpus, has_dot_products, memory_bytes


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 4)],
)
def test_cgroup_v2(tmp_path: Path, cpu_max: str, cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(cpu_max + "\n")
    assert count_cpus(tmp_path) == cpus


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(("quota", "cpus"), [("300000", 3), ("-1", 4), ("900000", 4)])
def test_cgroup_v1(tmp_path: Path, quota: str, cpus: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert count_cpus(tmp_path) == cpus


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """What /proc/self/cgroup tells within a service of systemd."""
    membership = tmp_path / "membership"
    membership.write_text("0::/system.slice/neumo.service\n")
    (tmp_path / "system.slice" / "neumo.service").mkdir(parents=True)
    return membership


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    ("own", "above", "cpus"), [("100000", "max", 1), ("max", "200000", 2), ("300000", "200000", 2)]
)
def test_the_tightest_of_the_cgroups_above_holds(
    tmp_path: Path, service: Path, own: str, above: str, cpus: int
) -> None:
    (tmp_path / "system.slice" / "neumo.service" / "cpu.max").write_text(f"{own} 100000\n")
    (tmp_path / "system.slice" / "cpu.max").write_text(f"{above} 100000\n")
    assert count_cpus(tmp_path, service) == cpus


def test_memory_is_the_machines_or_the_cgroups(tmp_path: Path, service: Path) -> None:
    machine = memory_bytes(tmp_path, tmp_path / "none")
    assert machine > 2**28
    limit = tmp_path / "system.slice" / "neumo.service" / "memory.max"
    limit.write_text("max\n")
    assert memory_bytes(tmp_path, service) == machine
    limit.write_text("268435456\n")
    assert memory_bytes(tmp_path, service) == 2**28


def test_memory_of_a_cgroup_v1(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1048576\n")
    assert memory_bytes(tmp_path, tmp_path / "none") == 2**20


@pytest.mark.usefixtures("four_cpus")
def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert count_cpus(tmp_path / "none") == 4


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", True),
        ("flags\t\t: fpu avx2 avx_vnni", True),
        ("Features\t: fp asimd asimddp", True),
        ("flags\t\t: fpu avx2 fma", False),
        ("model name\t: avx512_vnni", False),
        ("", False),
    ],
)
def test_flags_tell_whether_int8_pays(tmp_path: Path, flags: str, fast: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert has_dot_products(tmp_path / "cpuinfo") is fast


def test_a_system_that_tells_no_flags_has_none(tmp_path: Path) -> None:
    assert not has_dot_products(tmp_path / "absent")


COUNT_HEAPS = """
import ctypes, sys, threading
from app.machine import tune_allocator
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
