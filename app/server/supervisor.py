"""The parent of the processes that serve: starts them, replaces what died or hangs, stops them.

It holds the port, so that connections wait for a worker that is being replaced instead of being
refused. Everything is imported before workers are forked: they start at once, and share its
memory. It does nothing else, not even read a request, so nothing hostile reaches it.
"""

import contextlib
import gc
import logging
import os
import resource
import shutil
import signal
import socket
import tempfile
import time
from typing import Final

from app.access.access import Access
from app.access.rates import RateTable
from app.errors import (
    AccessError,
    BundleError,
    ExchangeError,
    ExchangeFolderUnusable,
    QueueAway,
    QueueFull,
    RecordsError,
)
from app.machine import tune_allocator
from app.server.balance import ConnectionTable, Stage
from app.server.port import PORT_TAKEN, bind_port
from app.server.tls import Tls
from app.server.uvicorn_server import Shared, build_server
from app.server.worker import SIGNALS, STARTUP_FAILURE, Worker
from app.service.active.model_roster import SharedModels
from app.service.logs import configure_logging
from app.service.service import LoadModel, load_model_from
from app.service.telemetry import forget_process, share_among_processes
from app.settings.settings import Settings, remark_on

_log = logging.getLogger("neumo.supervisor")

_TURN_S: Final = 0.1
_START_TURN_S: Final = 0.01
_BACKLOG: Final = 2048
"""Connections that the kernel accepts while no worker can, as when one is being replaced."""
_MARGIN_S: Final = 3.0
_LEAST_LIFE_S: Final = 1.0
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a container with a read-only root has it
_NO_FOLDER: Final = (
    "several workers share their metrics in a folder: set TMPDIR to one that can be written"
)

_NEEDS_EXTRA: Final = "it needs the extra: pip install neumo[hospital]"


class Supervisor:
    """Keeps `settings.worker_count` workers alive until SIGTERM or SIGINT."""

    def __init__(
        self,
        settings: Settings,
        load_model: LoadModel,
        listener: socket.socket,
        rates: RateTable,
        tls: Tls | None,
        models: SharedModels,
    ) -> None:
        self._settings = settings
        self._load_model = load_model
        self._listener = listener
        self._table = ConnectionTable(settings.worker_count)
        self._shared = Shared(self._table, rates, tls, models)
        self._workers: list[Worker] = []
        self._first_ready_s: float | None = None
        self._signal: signal.Signals | None = None
        self._failed = False
        for number in SIGNALS:
            signal.signal(number, self._note)
        signal.signal(signal.SIGHUP, self._refuse)

    def run(self) -> int:
        """Return the exit code: 0 after an orderly stop."""
        self._shared.models.processes.supervise()
        gc.collect()
        gc.freeze()  # or the collector would copy the memory that is shared
        self._workers = [self._start(row) for row in range(self._settings.worker_count)]
        while self._signal is None and not self._failed:
            if self._table.listening:
                time.sleep(_TURN_S)
            else:
                time.sleep(_START_TURN_S)
                self._listen_when_ready()
            for row, worker in enumerate(self._workers):
                if not self._is_well(row, worker):
                    self._workers[row] = self._replace(row, worker)
        return self._stop()

    def _note(self, number: int, _: object) -> None:
        self._signal = signal.Signals(number)

    def _refuse(self, *_: object) -> None:
        """Go on. Whoever sent it wanted other settings or another model: that is a new start."""
        _log.warning(
            "SIGHUP is not taken: stop by SIGTERM and start anew (keys and certificates are read "
            "anew by themselves)"
        )

    def _start(self, row: int) -> Worker:
        self._table.set_stage(row, Stage.LOADING)
        worker = Worker(
            self._listener,
            lambda: build_server(self._settings, self._load_model, self._shared, row),
        )
        worker.start()
        return worker

    def _listen_when_ready(self) -> None:
        """Open the port once every worker can accept, or the first would take all that come.

        One that died is not waited for, and one that hangs no longer than anything else is.
        """
        alive = [row for row, worker in enumerate(self._workers) if worker.alive]
        ready = [row for row in alive if self._table.stage(row) is Stage.ACCEPTING]
        if not ready:
            return
        now_s = time.monotonic()
        self._first_ready_s = self._first_ready_s or now_s
        if ready != alive and now_s - self._first_ready_s < self._settings.worker_timeout_s:
            return
        try:
            self._listener.listen(_BACKLOG)
        except OSError as error:  # another service listens since the port was bound
            _log.critical("can't listen", extra={"members": {"reason": error.strerror}})
            self._failed = True
            return
        self._table.open_port()

    def _is_well(self, row: int, worker: Worker) -> bool:
        """Whether a worker runs Python at all, and turns its loop once it accepts."""
        timeout_s = self._settings.worker_timeout_s
        if not (worker.alive and worker.answers(timeout_s)):
            return False
        accepting = self._table.stage(row) is Stage.ACCEPTING
        return not accepting or self._table.sign_age_s(row) < timeout_s

    def _replace(self, row: int, worker: Worker) -> Worker:
        if self._signal is not None or self._failed:
            return worker
        if not worker.alive:
            self._table.set_stage(row, Stage.STOPPED)  # nobody waits for it
        if time.monotonic() - worker.started_s < _LEAST_LIFE_S:
            return worker  # or one that dies at once would be replaced without end
        hangs = worker.alive
        worker.kill()
        if worker.exit_code == STARTUP_FAILURE:
            self._failed = True  # another one would fail the same way
            return worker
        members = {"pid": worker.pid, "exit_code": worker.exit_code, "hung": hangs}
        _log.error("a worker is replaced", extra={"members": members})
        forget_process(worker.pid)
        self._shared.models.processes.leave(row)
        return self._start(row)

    def _stop(self) -> int:
        """Stop the workers, by force those that don't listen."""
        settings = self._settings
        self._listener.close()  # or what the workers no longer accept would hang
        told = self._tell(self._signal or signal.SIGINT)
        delay_s = settings.drain_delay_s if told is signal.SIGTERM else 0
        until_s = time.monotonic() + delay_s + settings.shutdown_grace_s + _MARGIN_S
        while any(worker.alive for worker in self._workers):
            time.sleep(_TURN_S)
            if self._signal is signal.SIGINT and told is not signal.SIGINT:
                told = self._tell(signal.SIGINT)  # somebody is in a hurry
            if time.monotonic() > until_s:
                break
        forced = [worker for worker in self._workers if worker.alive]
        for worker in forced:
            _log.error("a worker is stopped by force", extra={"members": {"pid": worker.pid}})
            worker.kill()
        if self._failed:
            return STARTUP_FAILURE
        return 1 if forced else 0

    def _tell(self, number: signal.Signals) -> signal.Signals:
        for worker in self._workers:
            worker.stop(number)
        return number


def serve(settings: Settings, load_model: LoadModel = load_model_from) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code.

    0 after an orderly stop, 1 if a worker had to be stopped by force, 2 if it is not set who gets
    in, `STARTUP_FAILURE`, `PORT_TAKEN`.
    """
    configure_logging(settings.log_level)
    for remark in remark_on(os.environ):
        _log.warning("a variable is no setting", extra={"members": {"remark": remark}})
    tune_allocator()
    rates = RateTable()
    try:
        access = Access.of(settings, rates)  # each worker has its own, and would fail the same way
        tls = Tls.of(settings)
        _prepare_records(settings)
        _prepare_exchange(settings)
    except (AccessError, RecordsError, ExchangeError) as error:
        _log.critical(str(error), extra={"members": {"code": error.code}})
        return error.exit_code
    if access.open:
        _log.info("nobody is asked for a key", extra={"members": {"host": settings.host}})
    listener = bind_port(settings.host, settings.port, _log, tls=bool(settings.tls_cert))
    if listener is None:
        return PORT_TAKEN
    _raise_open_files()
    folder = _metrics_folder() if settings.worker_count > 1 else None
    if folder is not None:
        share_among_processes(folder)
    elif settings.worker_count > 1:
        if settings.workers:
            _log.critical(_NO_FOLDER)
            return STARTUP_FAILURE
        _log.warning(_NO_FOLDER + "; one worker serves")
        settings = settings.model_copy(update={"workers": 1})
    return _supervise(settings, load_model, listener, rates, tls, folder)


def _supervise(
    settings: Settings,
    load_model: LoadModel,
    listener: socket.socket,
    rates: RateTable,
    tls: Tls | None,
    folder: str | None,
) -> int:
    """Run the workers; return the exit code. `folder` holds their metrics, and goes at the end."""
    try:
        models = SharedModels(settings, settings.worker_count)
        return Supervisor(settings, load_model, listener, rates, tls, models).run()
    except BundleError as error:
        members: dict[str, object] = {"code": error.code, "detail": error.detail("en")}
        _log.critical("model can't be served", extra={"members": members})
        return STARTUP_FAILURE
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _prepare_records(settings: Settings) -> None:
    """See that the audit trail can be kept, if one is to be.

    Raises
    ------
    RecordsError
    """
    if not settings.audit_folder:
        _log.info("no audit trail is kept: NEUMO_AUDIT_FOLDER is empty")
        return
    # It brings a database's libraries, which are not always wanted; and before workers are forked.
    from app.records.store.opening import prepare_records  # noqa: PLC0415

    prepare_records(settings)


def _prepare_exchange(settings: Settings) -> None:
    """See that films can be kept and sorted, if they are to be.

    Raises
    ------
    ExchangeError
    """
    if not settings.exchange_folder:
        return
    try:
        import app.exchange.film_sort  # noqa: F401, PLC0415
        from app.records.outbox.outbox import Outbox  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ExchangeFolderUnusable(reason=_NEEDS_EXTRA) from None
    queue = Outbox.of(settings)  # each worker opens its own
    with contextlib.closing(queue), contextlib.suppress(QueueAway, QueueFull):
        queue.sweep()


def _metrics_folder() -> str | None:
    """Make a folder for the workers' metrics; None where none can be made."""
    for parent in (None, _SHARED_MEMORY):  # None: as TMPDIR says
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix="neumo-metrics-", dir=parent)
    return None


def _raise_open_files() -> None:
    """Take as many connections as the system allows: the soft limit is made for terminals."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
