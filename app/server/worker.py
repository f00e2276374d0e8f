"""A forked process that serves: how its parent starts it, asks for a sign of life, and stops it."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Final, Protocol

_log = logging.getLogger("neumo.worker")

STARTUP_FAILURE: Final = 3
"""Exit code of what can't start, and would fail the same way again. uvicorn's is the same."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Servable(Protocol):
    """What a worker runs."""

    def run(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets until told to stop."""


class Worker:
    """A forked process that serves, and answers pings while it can run Python at all.

    Parameters
    ----------
    listener : what it serves; None if that is no port
    build : makes, in the child, what serves; a failure ends it with `STARTUP_FAILURE`
    """

    def __init__(self, listener: socket.socket | None, build: Callable[[], Servable]) -> None:
        self._listener = listener
        self._build = build
        self._pinged_s: float | None = None
        self.answered = False
        """Whether it has given a sign of life: it is built then, and runs."""
        self._pipe, self._pipe_of_child = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=self._serve)
        self.started_s = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Its process id; None before it is started."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it is alive."""
        return self._process.exitcode

    def start(self) -> None:
        """Fork. A signal that comes meanwhile waits until the child can hear it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._pipe_of_child.close()

    def answers(self, timeout_s: float) -> bool:
        """Ask for a sign of life, without waiting; False if it is owed for `timeout_s`."""
        now_s = time.monotonic()
        try:
            if self._pinged_s is None:
                self._pipe.send_bytes(b"ping")
                self._pinged_s = now_s
            elif self._pipe.poll():
                self._pipe.recv_bytes()
                self._pinged_s = None
                self.answered = True
        except (OSError, EOFError):
            return False
        return self._pinged_s is None or now_s - self._pinged_s < timeout_s

    def stop(self, number: signal.Signals) -> None:
        """Tell it to stop: SIGTERM to drain first, SIGINT without."""
        if self.alive and self.pid is not None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, and wait for its end."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _serve(self) -> None:
        """Serve, in the child."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: os._exit(0))  # nothing is in flight yet
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._pipe.close()
        try:
            server = self._build()
        except Exception:  # noqa: BLE001 - another worker would fail the same way
            _log.exception("a worker can't start")
            os._exit(STARTUP_FAILURE)
        threading.Thread(target=_answer_pings, args=(self._pipe_of_child,), daemon=True).start()
        server.run([] if self._listener is None else [self._listener])


def _answer_pings(pipe: Pipe) -> None:
    try:
        while True:
            pipe.send_bytes(pipe.recv_bytes())
    except (OSError, EOFError):  # the parent is gone, which the server sees by itself
        return
