"""A real server for tests: `neumo serve` in a process of its own."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_LIMIT_S = 60.0
ONE_WORKER_AT_ONCE = {"NEUMO_WORKERS": "1", "NEUMO_DRAIN_DELAY_S": "0"}
"""What most tests want of a service: one process that reads, and a stop without delay."""


@dataclass
class Server:
    """A running service; `log` grows as it writes. With a `context` it is spoken to in TLS."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    context: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection, which opens at its first request."""
        if self.context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.context)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one request on a connection of its own; headers come back in lower case."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return response.status, given, response.read()
        finally:
            connection.close()

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, in no order."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, every line parsed as JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def line_of(self, request_id: str) -> dict[str, Any]:
        """Return a request's line, which may come after the answer has reached its caller."""
        for _ in range(250):
            for line in self.lines():
                if line.get("request_id") == request_id:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{request_id} was never logged: {self.log_text()}")

    def wait_until_ready(self) -> float:
        """Return the seconds until /health/ready said 200."""
        begun = time.monotonic()
        while time.monotonic() - begun < START_LIMIT_S:
            if self.process.poll() is not None:
                raise AssertionError(f"exited with {self.process.returncode}: {self.log_text()}")
            try:
                if self.call("GET", "/health/ready")[0] == 200:
                    return time.monotonic() - begun
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {START_LIMIT_S} s: {self.log_text()}")

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def started(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Start `neumo serve` on a free port; end it, by its own process id, on leaving."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "app", "serve", "--port", str(port), *arguments]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stderr=stderr,
                cwd=cwd,
                env=os.environ
                | {"NEUMO_DRAIN_DELAY_S": "0", "NEUMO_WORKERS": "1"}
                | dict(environment or {}),
            )
        try:
            yield Server(process, port, log, context)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def running_code(code: str, folder: Path) -> Iterator[Server]:
    """Serve by Python code of a test, in which PORT stands for a free port; SIGINT has to end it.

    The log lies in `folder`.
    """
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-c", code.replace("PORT", str(port))]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, cwd=Path(__file__).parents[1])
    try:
        server = Server(process, port, log)
        server.wait_until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@contextmanager
def running(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """As `started`, and ready."""
    with started(*arguments, environment=environment, cwd=cwd, context=context) as server:
        server.wait_until_ready()
        yield server


def multipart(*files: tuple[str, str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Write (field, file name, content) parts as a form: its body and its headers."""
    boundary = "neumo-test-boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for field, name, content in files
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def predict(server: Server, image: bytes, name: str = "chest.jpg") -> tuple[int, bytes]:
    """Post one image as a form; return the status and the answer."""
    body, headers = multipart(("file", name, image))
    status, _, answer = server.call("POST", "/predict", body, headers)
    return status, answer
