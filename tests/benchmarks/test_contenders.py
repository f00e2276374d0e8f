"""benchmarks.contenders: what a server takes, all its processes counted."""

import subprocess
import sys

from benchmarks.contenders import family_of, largest_mb

# A worker in a session of its own, as process managers start them; it holds 64 MB.
WORKER = "import time; held = b'x' * (64 << 20); print('ready', flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {WORKER!r}], start_new_session=True)
"""


def test_a_worker_in_a_session_of_its_own_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        family = family_of(parent.pid)
        assert len(family) == 2
        assert largest_mb(parent.pid) > 64
        (worker,) = family - {parent.pid}
        subprocess.run(["kill", str(worker)], check=True)
