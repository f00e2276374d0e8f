"""Ray is kept from telling of itself: the lines of docs/ray.md, and what `ray start` then asks."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.pages import blocks
from tests.ray.archive import CALLS, NEEDS_RAY, OUTSIDE, commands, wait_until
from tests.server import free_port

pytestmark = [NEEDS_RAY, pytest.mark.timeout(600)]
PAGE = ROOT / "docs" / "ray.md"
(LINES,) = (each.text for each in blocks(PAGE) if "ray_bootstrap_config" in each.text)
HEAD = "exec strace -f -qq --seccomp-bpf -s 200 -e trace={calls} -o {log} ray start --head --block \
--port=0 --num-cpus=0 --dashboard-port={port} --dashboard-agent-listen-port={agent} \
--object-store-memory=104857600 --temp-dir={temporary}"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder whose name is short, as Ray's sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="nq"))
    yield folder
    shutil.rmtree(folder)


def end_all_of(folder: Path) -> bool:
    """Kill what has the folder in its command; return whether there was any."""
    found = [pid for pid, command in commands().items() if str(folder) in command]
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def test_with_the_pages_lines_ray_start_asks_for_no_address_of_others(
    temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    log = tmp_path / "strace.log"
    head = HEAD.format(
        calls=CALLS, log=log, port=free_port(), agent=free_port(), temporary=temporary
    )
    started = subprocess.Popen(
        ["bash", "-euc", f"{LINES}\n{head}"],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": str(tmp_path),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # this machine alone, as the page has it
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def calls() -> list[str]:
        return log.read_text(errors="replace").splitlines() if log.exists() else []

    try:
        # It asks where it runs first, then tells that it may not tell: nobody is at that address.
        wait_until("it was told", lambda: any("htons(9)" in call for call in calls()))
    finally:
        wait_until("all of it ended", lambda: not end_all_of(temporary))
        started.wait()
    assert [call for call in calls() if re.search("usage-stats|metadata", call)] == []
    assert [call for call in calls() if OUTSIDE.search(call)] == []
