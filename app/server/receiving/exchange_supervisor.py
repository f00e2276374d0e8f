"""The parent of `neumo receive`: one process takes films, another reads and delivers them.

It holds the DICOM port, so that senders wait while the process that listens is replaced. It reads
nothing of what comes. The processes are apart, since the first faces whoever reaches the port, in
little memory, and the second runs the network and codecs.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.server.worker import SIGNALS, STARTUP_FAILURE, Servable, Worker

_log = logging.getLogger("neumo.exchange")

HEALTH_NAME: Final = "receive.health"
"""File in the folder of the exchange: what `neumo health receive` looks at."""
HEALTH_EVERY_S: Final = 1.0

_TURN_S: Final = 0.1
_MARGIN_S: Final = 3.0
_STEADY_S: Final = 60.0
"""A process that lived so long has not died of its start: the next one begins without delay."""
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep alive.

    Parameters
    ----------
    build : makes, in the process, what runs there
    port : handed to it
    """

    name: str
    build: Callable[[], Servable]
    port: socket.socket | None = None


class ExchangeSupervisor:
    """Keeps processes alive until SIGTERM or SIGINT.

    Parameters
    ----------
    folder : of the exchange
    timeout_s : in which a process has to give a sign of life
    grace_s : which processes get to finish what they do
    """

    def __init__(
        self, parts: Sequence[Part], folder: Path, *, timeout_s: float, grace_s: float
    ) -> None:
        self._parts = [_Kept(part, timeout_s) for part in parts]
        self._health = folder / HEALTH_NAME
        self._told_s = -float("inf")
        self._told: dict[str, str] = {}
        self._grace_s = grace_s
        self._signal: signal.Signals | None = None
        for number in SIGNALS:
            signal.signal(number, self._note)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> int:
        """Return the exit code: 0 after an orderly stop, `STARTUP_FAILURE`, 1 if force was used."""
        for part in self._parts:
            part.start()
        failed = False
        while self._signal is None and not failed:
            self._tell_health()
            time.sleep(_TURN_S)
            for part in self._parts:
                failed = failed or not part.look()
        self._health.unlink(missing_ok=True)
        forced = self._stop()
        if failed:
            return STARTUP_FAILURE
        return 1 if forced else 0

    def _note(self, number: int, _: object) -> None:
        self._signal = signal.Signals(number)

    def _tell_health(self) -> None:
        """Write how the processes are; the file's age says that somebody looks after them."""
        now_s = time.monotonic()
        if now_s - self._told_s < HEALTH_EVERY_S:
            return
        self._told_s = now_s
        states = {part.name: part.state for part in self._parts}
        with contextlib.suppress(OSError):
            try:
                written = self._health.with_suffix(".new")
                written.write_text(json.dumps(states))
                written.replace(self._health)
                self._told = states
            except OSError:  # a disk that is full does not mean that nobody looks after them
                if states == self._told:
                    os.utime(self._health)

    def _stop(self) -> bool:
        """Stop the processes; True if one had to be stopped by force."""
        for part in self._parts:
            part.stop()
        until_s = time.monotonic() + self._grace_s + _MARGIN_S
        while any(part.alive for part in self._parts) and time.monotonic() < until_s:
            time.sleep(_TURN_S)
        forced = [part for part in self._parts if part.kill()]
        return bool(forced)


class _Kept:
    """A part, and the process that is it now."""

    def __init__(self, part: Part, timeout_s: float) -> None:
        self.name = part.name
        self._part = part
        self._timeout_s = timeout_s
        self._worker: Worker | None = None
        self._started_once = False
        self._delay_s = 0.0
        self._start_at_s = 0.0

    @property
    def alive(self) -> bool:
        return self._worker is not None and self._worker.alive

    @property
    def state(self) -> str:
        """One of `up`, `starting`, `down`."""
        if not self.alive or self._worker is None:
            return "down"
        return "up" if self._worker.answered else "starting"

    def start(self) -> None:
        self._worker = Worker(self._part.port, self._part.build)
        self._worker.start()
        members = {"part": self.name, "pid": self._worker.pid}
        _log.info("a process is started", extra={"members": members})

    def look(self) -> bool:
        """Replace the process if it died or hangs; False if it can't start at all."""
        now_s = time.monotonic()
        if self._worker is None:
            if now_s >= self._start_at_s:
                self.start()
            return True
        if self._worker.alive and self._worker.answers(self._timeout_s):
            self._started_once = self._started_once or self._worker.answered
            return True
        hung, lived_s = self._worker.alive, now_s - self._worker.started_s
        self._worker.kill()
        if self._worker.exit_code == STARTUP_FAILURE and not self._started_once:
            return False
        self._delay_s = min(2 * self._delay_s or _FIRST_DELAY_S, _LONGEST_DELAY_S)
        if lived_s >= _STEADY_S:
            self._delay_s = 0.0
        self._start_at_s = now_s + self._delay_s
        members = {
            "part": self.name, "pid": self._worker.pid, "exit_code": self._worker.exit_code,
            "hung": hung, "again_in_s": self._delay_s,
        }  # fmt: skip
        _log.error("a process is replaced", extra={"members": members})
        self._worker = None
        return True

    def stop(self) -> None:
        if self._part.port is not None:
            self._part.port.close()  # or what is not accepted any more would hang
        if self._worker is not None:
            self._worker.stop(signal.SIGTERM)

    def kill(self) -> bool:
        """End it; True if it had not ended by itself."""
        if self._worker is None:
            return False
        forced = self._worker.alive
        if forced:
            members = {"part": self.name, "pid": self._worker.pid}
            _log.error("a process is stopped by force", extra={"members": members})
        self._worker.kill()
        return forced
