"""A load generator over kept-alive connections: closed loop for a peak, open loop for overload.

In an open loop requests start when their time has come, whether or not the ones before are
answered; their latency counts from that time. That is how real clients behave, and what a closed
loop hides.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was due, how long its answer took, and its status (0: none came)."""

    due_s: float
    seconds: float
    status: int


class _Connection(asyncio.Protocol):
    """One connection; `ask` sends a request and returns the status of its answer."""

    def __init__(self) -> None:
        self.open = False
        self._read = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.open = True

    def connection_lost(self, _: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length or self._answer is None:
            return
        self._read = b""
        if b"connection: close" in lower:
            self.open = False
            self.close()
        if not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    async def ask(self, request: bytes, timeout_s: float) -> int:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[union-attr]
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            self.open = False
            self.close()
            return 0

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Generator:
    """Sends one request again and again to a port of this machine.

    Parameters
    ----------
    keep : connections, for the next requests; else each request has one of its own
    """

    def __init__(
        self, port: int, request: bytes, timeout_s: float = 30.0, *, keep: bool = True
    ) -> None:
        self._port = port
        self._keep = keep
        self._request = request
        self._timeout_s = timeout_s
        self._free: deque[_Connection] = deque()

    async def send(self, due_s: float) -> Answer:
        """Send one request on a connection that is free, or a new one."""
        connection = None
        while self._free and connection is None:
            candidate = self._free.pop()
            connection = candidate if candidate.open else None
        try:
            if connection is None:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
            status = await connection.ask(self._request, self._timeout_s)
        except OSError:
            return Answer(due_s, time.perf_counter() - due_s, 0)
        if connection.open and self._keep:
            self._free.append(connection)
        elif connection.open:
            connection.close()
        return Answer(due_s, time.perf_counter() - due_s, status)

    async def closed_loop(self, connections: int, seconds: float) -> list[Answer]:
        """Keep `connections` requests under way."""
        end_s = time.perf_counter() + seconds
        answers: list[Answer] = []

        async def one() -> None:
            while (now_s := time.perf_counter()) < end_s:
                answers.append(await self.send(now_s))

        await asyncio.gather(*(one() for _ in range(connections)))
        return answers

    async def open_loop(self, per_s: float, seconds: float) -> list[Answer]:
        """Start `per_s` requests a second, evenly."""
        begun_s = time.perf_counter()
        tasks = []
        for number in range(int(per_s * seconds)):
            due_s = begun_s + number / per_s
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            tasks.append(asyncio.create_task(self.send(due_s)))
        return list(await asyncio.gather(*tasks))

    def close(self) -> None:
        """Close the connections."""
        while self._free:
            self._free.pop().close()


def post(image: bytes, path: str = "/predict") -> bytes:
    """Return a request that posts a JPEG as its body."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    return f"{head}Content-Length: {len(image)}\r\n\r\n".encode() + image


def get(path: str) -> bytes:
    """Return a request that gets a path."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
