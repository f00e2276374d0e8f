"""Connections that have not asked for an association yet: so many, for so long."""

import contextlib
import socket
import threading
import time


class WaitingConnections:
    """Ends what waits too long, and, where too many wait, the oldest of them.

    Parameters
    ----------
    most : how many may wait at once
    limit_s : how long one may
    """

    def __init__(self, most: int, limit_s: float) -> None:
        self._most = most
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._since: dict[int, tuple[float, socket.socket]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._since)

    def enter(self, connection: socket.socket) -> int:
        """Count a connection in; return what it is known by from now on."""
        with self._lock:
            full = len(self._since) >= self._most
            oldest = self._since.pop(next(iter(self._since))) if full else None
            ticket = id(connection)
            self._since[ticket] = time.monotonic(), connection
        if oldest is not None:
            _end(oldest[1])
        return ticket

    def wrap(self, ticket: int, connection: socket.socket) -> None:
        """Say that TLS has taken the connection over in another object."""
        with self._lock:
            if ticket not in self._since:
                raise ConnectionAbortedError
            self._since[ticket] = self._since[ticket][0], connection

    def leave(self, ticket: int) -> bool:
        """Count it out; False if it was ended."""
        with self._lock:
            return self._since.pop(ticket, None) is not None

    def end_late(self) -> None:
        """End those whose time is over; call it often."""
        until_s = time.monotonic() - self._limit_s
        with self._lock:
            late = [ticket for ticket, (since_s, _) in self._since.items() if since_s < until_s]
            ended = [self._since.pop(ticket)[1] for ticket in late]
        for connection in ended:
            _end(connection)


def _end(connection: socket.socket) -> None:
    """Wake whoever reads from a connection: to it, the bytes have come to their end."""
    with contextlib.suppress(OSError):
        # Not an SSLSocket's own, which takes its state away from the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
