"""`neumo receive` that can be killed and started again on its queue, and `neumo reconcile`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.orthanc.orthanc import Orthanc
from tests.server import free_port

_LIMIT_S = 120.0


@dataclass
class Neumo:
    """The processes of `neumo receive`, and the settings that its queue is known by.

    Parameters
    ----------
    partner : where results go
    listens : False: only what `neumo serve` puts into the queue is read
    """

    folder: Path
    partner: str = ""
    listens: bool = True
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "NEUMO_EXCHANGE_FOLDER": str(self.folder / "queue"),
            "NEUMO_DICOM_PORT": str(self.port),
            "NEUMO_DICOM_CALLERS": "ORTHANC",
            "NEUMO_PARTNERS": self.partner,
            "NEUMO_DELIVERY_BACKOFF_S": "0.2",
            "NEUMO_PRECISION": "int8",  # whose results' UIDs tests know
        }

    def start(self) -> None:
        """Start it, and wait until each of its processes is up."""
        command = [sys.executable, "-m", "app", "receive"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command if self.listens else [*command, "--no-listen"],
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,  # so that all of them can be killed at once
            )
        until_s = time.monotonic() + _LIMIT_S
        while not self.is_up():
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < until_s, self.log_text()
            time.sleep(0.05)

    def is_up(self) -> bool:
        health = self.folder / "queue" / "receive.health"
        try:
            states = json.loads(health.read_text())
        except (OSError, ValueError):
            return False
        return bool(states) and set(states.values()) == {"up"}

    def kill(self) -> None:
        """End every process of it at once, by SIGKILL."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        (self.folder / "queue" / "receive.health").unlink(missing_ok=True)

    def pause(self) -> None:
        """Let it do nothing: whoever calls it waits."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do something again."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self) -> int:
        """End it in order; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(60)
        self.process = None
        return code

    def reconcile(self, orthanc: Orthanc) -> dict[str, int]:
        """Run `neumo reconcile` once; return its counts."""
        command = [sys.executable, "-m", "app", "reconcile", "--json"]
        done = subprocess.run(
            [*command, "--archive", orthanc.dicomweb],
            capture_output=True, check=False, timeout=_LIMIT_S, env=os.environ | self.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        counts: dict[str, int] = json.loads(done.stdout)
        return counts

    def log_text(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@contextmanager
def prepared_neumo(folder: Path) -> Iterator[Neumo]:
    """Give one that is not started yet; end it, by its own process ids, on leaving."""
    folder.mkdir(exist_ok=True)
    neumo = Neumo(folder)
    try:
        yield neumo
    finally:
        neumo.kill()
