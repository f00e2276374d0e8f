"""Neumo as a process of its own, for benchmarks: started on a free port, ended by its id."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(slots=True)
class Service:
    """A running `neumo serve`."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    @property
    def cpu_s(self) -> float:
        """CPU seconds that its workers have used."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2] for pid in self.workers]
        ticks = sum(sum(map(int, stat.split()[11:13])) for stat in stats)
        return ticks / os.sysconf("SC_CLK_TCK")

    def wait_until_ready(self, limit_s: float = 120.0) -> None:
        """Return once /health/ready says 200."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == http.client.OK:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        raise RuntimeError("the service never became ready")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def start(
    *, core: int | None = None, port: int | None = None, arguments: Sequence[str] = ()
) -> Iterator[Service]:
    """Start `neumo serve`, on one core if told so, and wait until it is ready."""
    port = port or free_port()
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), *arguments]
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})  # what is started inherits it
    try:
        process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603 - our own command
    finally:
        os.sched_setaffinity(0, before)
    try:
        service = Service(process, port)
        service.wait_until_ready()
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait()
