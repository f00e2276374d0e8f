"""Takes connections from the port that several workers share, and turns them into protocols."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from app.server.balance import ConnectionTable, Stage
from app.server.tls import Tls

_log = logging.getLogger("neumo.acceptor")

_PORT_TURN_S: Final = 0.005
# While a connection waits for another worker, which is soon: so seldom is looked again.
_LEAST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.016
_NO_RESOURCES_PAUSE_S: Final = 1.0
_MOST_AT_ONCE: Final = 100
_STOP_S: Final = 1.0
"""What a stop gives to handshakes that are on their way."""


class Acceptor:
    """One worker's share of the connections.

    Of several workers each takes one connection at a time, and only if no other has fewer: see
    `app.server.balance`. A lone one takes all that wait.

    Parameters
    ----------
    listener : doesn't block; the parent listens on it
    worker : this worker's row in the table
    new_protocol : what a connection is handed to, once its handshake is done
    tls : of these connections; None for those in the clear
    handshake_timeout_s, shutdown_timeout_s : for a client to take its part in a handshake, and in
        the end of a connection; later it is closed
    """

    def __init__(
        self,
        listener: socket.socket,
        table: ConnectionTable,
        worker: int,
        new_protocol: Callable[[], asyncio.Protocol],
        tls: Tls | None = None,
        handshake_timeout_s: float = 10.0,
        shutdown_timeout_s: float = 10.0,
    ) -> None:
        self._listener = listener
        self._table = table
        self._worker = worker
        self._new_protocol = new_protocol
        self._tls = tls
        self._handshake_timeout_s = handshake_timeout_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._loop = asyncio.get_running_loop()
        self._most_at_once = 1 if table.workers > 1 else _MOST_AT_ONCE
        self._pause_s = _LEAST_PAUSE_S
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._open = 0

    def start(self) -> None:
        """Accept, once the port is open."""
        self._table.set_stage(self._worker, Stage.ACCEPTING)
        self._watch()

    def give_sign(self) -> None:
        """Tell the other workers that this one's loop turns; call it several times a second."""
        self._table.give_sign(self._worker)

    def on_closed(self) -> None:
        """Note that a connection has ended."""
        self._count(-1)

    async def stop(self) -> None:
        """Stop, after taking what the kernel has accepted: to leave it would reset it."""
        self._table.set_stage(self._worker, Stage.STOPPED)
        self._loop.remove_reader(self._listener)
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(OSError):  # such as that the port was never opened
            while (accepted := self._accept()) is not None:
                self._connect(accepted)
        if self._connecting:
            _, slow = await asyncio.wait(self._connecting, timeout=_STOP_S)
            for task in slow:
                task.cancel()
        while self._connecting:
            await asyncio.wait(self._connecting)

    def _watch(self) -> None:
        if self._table.listening:
            self._loop.add_reader(self._listener, self._on_pending)
        else:
            self._timer = self._loop.call_later(_PORT_TURN_S, self._watch)

    def _look_away(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._watch)

    def _on_pending(self) -> None:
        if not self._table.may_accept(self._worker):
            self._look_away(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return
        self._pause_s = _LEAST_PAUSE_S
        for _ in range(self._most_at_once):
            try:
                accepted = self._accept()
            except OSError as error:  # such as no file descriptor is left
                _log.error("can't accept", extra={"members": {"reason": error.strerror}})
                self._look_away(_NO_RESOURCES_PAUSE_S)
                return
            if accepted is None:
                return
            self._connect(accepted)

    def _accept(self) -> socket.socket | None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None  # another worker was first, or the client has left
        accepted.setblocking(False)
        return accepted

    def _connect(self, accepted: socket.socket) -> None:
        self._count(1)
        task = self._loop.create_task(self._hand_over(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _hand_over(self, accepted: socket.socket) -> None:
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(self._new_protocol, accepted)
            else:
                await self._loop.connect_accepted_socket(
                    self._new_protocol,
                    accepted,
                    ssl=self._tls.context,
                    ssl_handshake_timeout=self._handshake_timeout_s,
                    ssl_shutdown_timeout=self._shutdown_timeout_s,
                )
        except BaseException as error:
            accepted.close()
            self._count(-1)  # or this worker would be left out for good
            # Those are clients that have left, or whose handshake failed.
            if not isinstance(error, OSError | asyncio.CancelledError):
                raise

    def _count(self, change: int) -> None:
        self._open += change
        self._table.set_connections(self._worker, self._open)
