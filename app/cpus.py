"""How many CPUs this process may really use."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def count_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the CPUs this process may use, at least 1.

    The smaller of the scheduler's affinity and the container's quota, read from
    ``cpu.max`` (cgroup v2) or ``cpu/cpu.cfs_quota_us`` (v1) and rounded up.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, quota))


def _quota(cgroup: Path) -> int | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return -(-int(quota) // int(period))
