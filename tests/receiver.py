"""A real `neumo receive` for tests, and senders: DCMTK's, and pynetdicom's for what those can't."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from app.records.outbox.outbox import Outbox
from tests.server import free_port

STORESCU, ECHOSCU = "/usr/bin/storescu", "/usr/bin/echoscu"  # pynetdicom's shadow DCMTK's in PATH
CALLER, TITLE = "XRAY1", "NEUMO"
_PATIENCE_S = 30.0


@dataclass
class Receiver:
    """A running `neumo receive`."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, every line parsed as JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def pid(self, part: str) -> int:
        """Return the process id that a part was last started with."""
        started = [each for each in self.lines() if each["message"] == "a process is started"]
        return int([each["pid"] for each in started if each["part"] == part][-1])

    def echo(self, *options: str, caller: str = CALLER, called: str = TITLE) -> bool:
        """Ask by C-ECHO; whether that succeeded."""
        names = ("-aet", caller, "-aec", called, "-to", "10", "-ta", "10")
        command = [ECHOSCU, *names, *options, "127.0.0.1", str(self.port)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    def store(self, *files: Path, options: tuple[str, ...] = (), caller: str = CALLER) -> str:
        """Send files by one association; return what DCMTK says of it."""
        names = ("-v", "-aet", caller, "-aec", TITLE, "-to", "10")
        command = [STORESCU, *names, *options, "127.0.0.1", str(self.port), *map(str, files)]
        told = subprocess.run(command, capture_output=True, check=False, timeout=60)
        return (told.stdout + told.stderr).decode()

    @contextmanager
    def association(self, sop_class: str, syntax: str = ExplicitVRLittleEndian) -> Iterator[Any]:
        """Open one by pynetdicom, of one context; abort it on leaving if it is still open."""
        entity = ApplicationEntity(CALLER)
        entity.add_requested_context(sop_class, syntax)
        opened: Association = entity.associate("127.0.0.1", self.port, ae_title=TITLE)
        try:
            yield opened
        finally:
            if opened.is_established:
                opened.abort()

    @contextmanager
    def queue(self) -> Iterator[Outbox]:
        """Open the queue beside the processes."""
        opened = Outbox.open(self.folder, None, most_bytes=2**30, kept_for=timedelta(days=1))
        try:
            yield opened
        finally:
            opened.close()

    def temporary_files(self) -> list[str]:
        """Return the names of what lies where data sets arrive."""
        return [each.name for each in (self.folder / "receiving").iterdir()]

    def memory_mb(self, part: str = "listener") -> int:
        """Return the most memory that a part has had."""
        status = Path(f"/proc/{self.pid(part)}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) // 1024


@contextmanager
def receiving(
    folder: Path, environment: Mapping[str, str] | None = None, *arguments: str
) -> Iterator[Receiver]:
    """Start `neumo receive` on a free port; end it, by its own process id, on leaving.

    It may be talked to at once: the port is open, and whoever calls waits.
    """
    port, log = free_port(), folder.parent / f"{folder.name}.log"
    command = [sys.executable, "-m", "app", "receive", "--dicom-port", str(port), *arguments]
    own = {"NEUMO_EXCHANGE_FOLDER": str(folder), "NEUMO_DICOM_CALLERS": CALLER}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stderr=stderr, env=os.environ | own | dict(environment or {})
        )
    receiver = Receiver(process, port, folder, log)
    try:
        wait_until(lambda: '"reader"' in log.read_text() or process.poll() is not None)
        yield receiver
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(holds: Callable[[], object], patience_s: float = _PATIENCE_S) -> None:
    """Wait for something to hold; fail if it does not in time."""
    until_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < until_s, "waited in vain"
        time.sleep(0.05)
