"""What this computer gives: CPUs and memory within the container's limits, an allocator, VNNI."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_CPU_INFO: Final = Path("/proc/cpuinfo")
_PAGES: Final = Path("/proc/self/statm")
_DOT_PRODUCTS: Final = frozenset(("avx512_vnni", "avx_vnni", "asimddp"))
_ARENA_MAX: Final = -8  # the names are those of mallopt(3)
_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
_KEPT_BYTES: Final = 32 * 2**20


def count_cpus(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> int:
    """Return the CPUs this process may use, at least 1.

    The smallest of the scheduler's affinity and the quotas of the cgroups it is in, read from
    ``cpu.max`` (cgroup v2) or ``cpu.cfs_quota_us`` (v1) and rounded up.
    """
    quotas = [_quota(folder) for folder in _cgroups(cgroup, "cpu", membership)]
    affinity = len(os.sched_getaffinity(0))
    return max(1, min([affinity, *(quota for quota in quotas if quota is not None)]))


def memory_bytes(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> int:
    """Return the bytes of memory this process may use.

    The smallest of the machine's and the limits of the cgroups it is in, read from
    ``memory.max`` (cgroup v2) or ``memory.limit_in_bytes`` (v1).
    """
    limits = [_memory_limit(folder) for folder in _cgroups(cgroup, "memory", membership)]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(limit for limit in limits if limit is not None)])


def _cgroups(cgroup: Path, controller: str, membership: Path) -> Iterator[Path]:
    """Yield the folders whose limits hold for this process: its own, and all above it.

    ``/proc/self/cgroup`` has lines ``number:controllers:path``, without controllers in v2
    (cgroups(7)).
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    yield from (cgroup, cgroup / controller)
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = cgroup / controller if controllers else cgroup
        for part in Path(path).parts[1:]:
            folder /= part
            yield folder


def _quota(folder: Path) -> int | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return -(-int(quota) // int(period))


def _memory_limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            limit = (folder / name).read_text().strip()
        except OSError:
            continue
        return None if limit == "max" else int(limit)
    return None


def has_dot_products(cpu_info: Path = _CPU_INFO) -> bool:
    """Whether the CPU says that it multiplies and adds bytes in one instruction."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = {
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    }
    return not flags.isdisjoint(_DOT_PRODUCTS)


def cpu_name(cpu_info: Path = _CPU_INFO) -> str:
    """Return what the CPU calls itself; the architecture where it doesn't, as ARM's don't."""
    with contextlib.suppress(OSError):
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine


def tune_allocator() -> bool:
    """Set the C library's allocator for few threads and large blocks, as the service has them.

    One heap, up to 32 MiB of it kept for the next image. By default glibc gives every thread a
    heap of its own, and much of what is freed back to the system, to take it again for the next
    image: measured with eight PNGs of 2048 px at a time, that is 50 MB more of resident memory.

    Returns
    -------
    False where the C library isn't glibc, and nothing was changed.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    options = (
        (_ARENA_MAX, 1),
        (_MMAP_THRESHOLD, _KEPT_BYTES // 2),
        (_TRIM_THRESHOLD, _KEPT_BYTES),
    )
    return all(libc.mallopt(option, value) == 1 for option, value in options)


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system doesn't tell."""
    try:
        pages = int(_PAGES.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
