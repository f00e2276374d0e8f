"""The load generator: one image, posted again and again as a form over kept-alive connections.

    python -m benchmarks.generator --port 8000 --image FILE --connections 8 --seconds 2 [--rate 50]

Closed loop: each connection asks again once it is answered. Open loop (`--rate`, a second):
requests come when they come, at random with that mean, and a latency counts from when one was
due, whether or not a connection was free. Prints one line of JSON.
"""

import argparse
import json
import random
import socket
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

BOUNDARY = "a-boundary-of-the-generator"
TIMEOUT_S = 60
OK = b"200"


def main() -> None:
    """Ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--field", default="file")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rate", type=float, default=0, help="open loop, requests a second")
    options = parser.parse_args()
    request = write_request(options.image.read_bytes(), options.field)
    asked = Asked(options.seconds, arrivals(options.rate, options.seconds))
    threads = [
        threading.Thread(target=asked.ask, args=(options.port, request), daemon=True)
        for _ in range(options.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(options.seconds + TIMEOUT_S)
    print(json.dumps(asked.figures()))


def write_form(image: bytes, name: str) -> bytes:
    """Write a request's body: a form of one field that holds the image."""
    part = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    return part + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def write_request(image: bytes, name: str, path: str = "/predict") -> bytes:
    """Write a whole request: head and form."""
    body = write_form(image, name)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


def arrivals(rate: float, seconds: float) -> list[float] | None:
    """Draw the times of an open loop, in seconds from the start; None for a closed one."""
    if not rate:
        return None
    generator = random.Random(0)  # noqa: S311 - no secret
    times = [0.0]
    while times[-1] < seconds:
        times.append(times[-1] + generator.expovariate(rate))
    return times[:-1]


@dataclass
class Asked:
    """What was asked and answered, by all connections together."""

    seconds: float
    due: list[float] | None
    latencies: list[float] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    failed: int = 0
    next: int = 0
    begun: float = field(default_factory=time.perf_counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, port: int, request: bytes) -> None:
        """Ask over one connection until time is up."""
        connection = Connection(port)
        while (due := self._take()) is not None:
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                status, body = connection.ask(request)
            except OSError:
                status, body, connection = b"no answer", b"", Connection(port)
            latency = time.perf_counter() - due
            if status != OK:
                self.failed += 1
                continue
            self.latencies.append(latency)
            stages = json.loads(body).get("timing_ms")
            if stages:
                self.overheads.append(latency * 1000 - stages["decode"] - stages["inference"])

    def _take(self) -> float | None:
        """Return when the next request is due; None when it is over."""
        if self.due is None:
            now = time.perf_counter()
            return now if now - self.begun < self.seconds else None
        with self.lock:
            self.next += 1
        return self.begun + self.due[self.next - 1] if self.next <= len(self.due) else None

    def figures(self) -> dict[str, float | None]:
        """Return counts, a rate, latencies, and what of them is neither decoding nor network."""
        if not self.latencies:
            return {"count": 0, "failed": self.failed}
        ordered = sorted(self.latencies)
        return {
            "count": len(ordered),
            "failed": self.failed,
            "per_second": len(ordered) / (time.perf_counter() - self.begun),
            "p50_ms": statistics.median(ordered) * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
            "overhead_ms": statistics.median(self.overheads) if self.overheads else None,
        }


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request; return the status and the body."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(request)
            return self._receive()
        except OSError:
            self._socket.close()
            raise

    def _receive(self) -> tuple[bytes, bytes]:
        head = self._until(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [line.partition(b":")[2] for line in lines if line.startswith(b"content-length:")]
        if lengths:
            body = self._exactly(int(lengths[0]))
        else:
            body = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
        return head.split(b" ", 2)[1], body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        taken, _, self._rest = self._rest.partition(mark)
        return taken

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _more(self) -> None:
        assert self._socket is not None  # noqa: S101 - opened by `ask`
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionResetError
        self._rest += received


if __name__ == "__main__":
    main()
