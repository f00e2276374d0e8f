"""The parent of the processes that serve: starts them, replaces what died or hangs, stops them.

It holds the port, so that connections wait for a worker that is being replaced instead of being
refused. Everything is imported before workers are forked: they start at once, and share its
memory. It does nothing else, not even read a request, so nothing hostile reaches it.
"""

import gc
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Final, cast

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from app.machine import tune_allocator
from app.server.worker import Server, build_server
from app.service.logs import configure_logging
from app.service.service import LoadModel, load_model_from
from app.service.telemetry import forget_process, share_among_processes
from app.settings import Settings

_log = logging.getLogger("neumo.supervisor")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_TURN_S: Final = 0.1
_MARGIN_S: Final = 3.0
_LEAST_LIFE_S: Final = 1.0


class Worker(Process):
    """A forked process that serves, and answers pings while it can run Python at all."""

    def __init__(self, sockets: list[socket.socket], build: Callable[[], Server]) -> None:
        self._build = build
        self._asked_s: float | None = None
        self.started_s = time.monotonic()
        self.parent_conn, self.child_conn = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=self.target, args=(sockets,))
        self.process = cast("SpawnProcess", child)

    def start(self) -> None:
        """Fork. A signal that comes meanwhile waits until the child can hear it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, in the child."""
        for number in _SIGNALS:
            signal.signal(number, lambda *_: os._exit(0))  # nothing is in flight yet
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            self._server = self._build()
        except Exception:  # noqa: BLE001 - another worker would fail the same way
            _log.exception("a worker can't start")
            os._exit(STARTUP_FAILURE)
        threading.Thread(target=self.always_pong, daemon=True).start()
        self._server.run(sockets)

    def answers(self, timeout_s: float) -> bool:
        """Ask for a sign of life, without waiting; False if it is owed for `timeout_s`."""
        now_s = time.monotonic()
        try:
            if self._asked_s is None:
                self.parent_conn.send(b"ping")
                self._asked_s = now_s
            elif self.parent_conn.poll():
                self.parent_conn.recv()
                self._asked_s = None
        except (OSError, EOFError):
            return False
        return self._asked_s is None or now_s - self._asked_s < timeout_s

    def stop(self, number: signal.Signals) -> None:
        """Tell it to stop: SIGTERM to drain first, SIGINT without."""
        if self.process.is_alive() and self.pid is not None:
            os.kill(self.pid, number)


class Supervisor:
    """Keeps `settings.worker_count` workers alive until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, load_model: LoadModel, listener: socket.socket) -> None:
        self._settings = settings
        self._load_model = load_model
        self._listener = listener
        self._workers: list[Worker] = []
        self._signal: signal.Signals | None = None
        self._failed = False
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def run(self) -> int:
        """Return the exit code: 0 after an orderly stop."""
        gc.collect()
        gc.freeze()  # or the collector would copy the memory that is shared
        self._workers = [self._start() for _ in range(self._settings.worker_count)]
        while self._signal is None and not self._failed:
            time.sleep(_TURN_S)
            self._workers = [
                worker if self._is_well(worker) else self._replace(worker)
                for worker in self._workers
            ]
        return self._stop()

    def _note(self, number: int, _: object) -> None:
        self._signal = signal.Signals(number)

    def _start(self) -> Worker:
        worker = Worker([self._listener], lambda: build_server(self._settings, self._load_model))
        worker.start()
        return worker

    def _is_well(self, worker: Worker) -> bool:
        return worker.process.is_alive() and worker.answers(self._settings.worker_timeout_s)

    def _replace(self, worker: Worker) -> Worker:
        if self._signal is not None or self._failed:
            return worker
        if time.monotonic() - worker.started_s < _LEAST_LIFE_S:
            return worker  # or one that dies at once would be replaced without end
        hangs = worker.process.is_alive()
        worker.kill()
        worker.process.join()
        if worker.exitcode == STARTUP_FAILURE:
            self._failed = True  # another one would fail the same way
            return worker
        members = {"pid": worker.pid, "exit_code": worker.exitcode, "hung": hangs}
        _log.error("a worker is replaced", extra={"members": members})
        forget_process(worker.pid)
        return self._start()

    def _stop(self) -> int:
        """Stop the workers, by force those that don't listen."""
        settings = self._settings
        self._listener.close()  # or what the workers no longer accept would hang
        told = self._tell(self._signal or signal.SIGINT)
        delay_s = settings.drain_delay_s if told is signal.SIGTERM else 0
        until_s = time.monotonic() + delay_s + settings.shutdown_grace_s + _MARGIN_S
        while any(worker.process.is_alive() for worker in self._workers):
            time.sleep(_TURN_S)
            if self._signal is signal.SIGINT and told is not signal.SIGINT:
                told = self._tell(signal.SIGINT)  # somebody is in a hurry
            if time.monotonic() > until_s:
                break
        forced = [worker for worker in self._workers if worker.process.is_alive()]
        for worker in forced:
            _log.error("a worker is stopped by force", extra={"members": {"pid": worker.pid}})
            worker.kill()
            worker.process.join()
        if self._failed:
            return STARTUP_FAILURE
        return 1 if forced else 0

    def _tell(self, number: signal.Signals) -> signal.Signals:
        for worker in self._workers:
            worker.stop(number)
        return number


def serve(settings: Settings, load_model: LoadModel = load_model_from) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code."""
    configure_logging(settings.log_level)
    tune_allocator()
    listener = _bind(settings)
    if listener is None:
        return STARTUP_FAILURE
    _raise_open_files()
    folder = None
    if settings.worker_count > 1:
        try:
            folder = tempfile.mkdtemp(prefix="neumo-metrics-")
        except OSError:
            _log.critical(
                "several workers share their metrics in a folder: set TMPDIR to one that can be "
                "written"
            )
            return STARTUP_FAILURE
        share_among_processes(folder)
    try:
        return Supervisor(settings, load_model, listener).run()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _bind(settings: Settings) -> socket.socket | None:
    """Take the port. Workers listen on it, once they can answer: until then calls are refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        members = {"host": settings.host, "port": settings.port, "reason": error.strerror}
        _log.critical("can't listen", extra={"members": members})
        listener.close()
        return None
    listener.setblocking(False)
    address = {"host": settings.host, "port": listener.getsockname()[1]}
    _log.info("bound", extra={"members": address})
    return listener


def _raise_open_files() -> None:
    """Take as many connections as the system allows: the soft limit is made for terminals."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
