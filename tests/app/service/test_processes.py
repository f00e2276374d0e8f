"""app.service.processes: what all processes of a service take together."""

import os
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from app import __version__
from app.service.processes import ProcessCollector, ProcessTable

PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is Linux's")


def collect(table: ProcessTable) -> dict[str, float]:
    """Return each series' value by its name."""
    return {
        sample.name: sample.value
        for family in ProcessCollector(table).collect()
        for sample in family.samples
    }


def test_a_process_enters_and_leaves() -> None:
    table = ProcessTable(3)
    assert (table.rows(), table.pids()) == ([], [])
    table.enter(2)
    assert (table.rows(), table.pids()) == ([2], [os.getpid()])
    table.leave(2)
    assert (table.rows(), table.restarts) == ([], 1)


def test_what_a_child_notes_its_parent_sees() -> None:
    table = ProcessTable(1)
    table.supervise()
    child = get_context("fork").Process(target=table.enter, args=(0,))
    child.start()
    child.join()
    assert table.pids() == [os.getpid(), child.pid]


@PROC
def test_a_process_alone_is_told_as_the_system_tells_it() -> None:
    table = ProcessTable(1)
    table.enter(0)
    told = collect(table)
    assert told["process_cpu_seconds_total"] == pytest.approx(time.process_time(), abs=0.5)
    assert told["process_start_time_seconds"] < time.time()
    assert told["process_start_time_seconds"] > time.time() - 24 * 3600
    assert 10e6 < told["process_resident_memory_bytes"] < told["process_virtual_memory_bytes"]
    assert told["process_open_fds"] == pytest.approx(
        len(list(Path("/proc/self/fd").iterdir())), abs=2
    )
    assert (told["neumo_workers"], told["neumo_worker_restarts_total"]) == (1, 0)


@PROC
def test_cpu_of_a_worker_that_has_ended_is_not_lost() -> None:
    def work() -> None:
        until_s = time.process_time() + 0.3
        while time.process_time() < until_s:
            pass

    table = ProcessTable(1)
    table.enter(0)
    before = table.ended_cpu_s
    child = get_context("fork").Process(target=work)
    child.start()
    child.join()
    table.leave(0)
    assert table.ended_cpu_s >= before + 0.25


@PROC
def test_memory_that_is_shared_counts_once() -> None:
    ballast = bytearray(os.urandom(1)) * 100_000_000
    table = ProcessTable(2)
    table.enter(0)
    alone = collect(table)["process_resident_memory_bytes"]
    release_r, release_w = os.pipe()

    def wait() -> None:
        table.enter(1)
        os.read(release_r, 1)

    child = get_context("fork").Process(target=wait)
    child.start()
    while len(table.rows()) < 2:
        time.sleep(0.005)
    both = collect(table)["process_resident_memory_bytes"]
    os.write(release_w, b"x")
    child.join()
    assert len(ballast) == 100_000_000
    assert both < alone + 50_000_000  # not twice the ballast


def test_versions_are_told() -> None:
    table = ProcessTable(1)
    (build,) = (
        family.samples[0]
        for family in ProcessCollector(table).collect()
        if family.name == "neumo_build_info"
    )
    assert build.labels["version"] == __version__
    assert build.value == 1
