"""The server process: uvicorn around the application, alone or as a parent of workers."""

import logging
import os
import shutil
import signal
import tempfile

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.logs import configure_logging
from app.main import create_app
from app.settings import Settings
from app.telemetry import MULTIPROCESS_FOLDER

_log = logging.getLogger("neumo.server")


def build_app() -> FastAPI:
    """Build the application of one server process, from its environment.

    A model that can't be served ends the process at once with `STARTUP_FAILURE`, which
    also tells a parent not to start it again. Nothing is in flight then: it was never ready.
    """
    settings = Settings()
    configure_logging(settings.log_level)
    return create_app(settings, on_failure=lambda: os._exit(STARTUP_FAILURE))


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code."""
    configure_logging(settings.log_level)
    settings.export()
    config = uvicorn.Config(
        "app.server:build_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    if settings.workers > 1:
        return _serve_workers(config)
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn raises the signal again once it is done, to the handler it found. Finding the
    # default one would end an orderly stop as a death by signal. A signal that comes before
    # uvicorn listens for it must not be lost either.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run()
    return 0 if server.started else STARTUP_FAILURE


def _serve_workers(config: uvicorn.Config) -> int:
    try:
        folder = tempfile.mkdtemp(prefix="neumo-metrics-")
    except OSError:
        _log.critical(
            "several workers share their metrics in a folder: set TMPDIR to one that can be written"
        )
        return STARTUP_FAILURE
    os.environ[MULTIPROCESS_FOLDER] = folder
    try:
        parent = Multiprocess(config, sockets=[config.bind_socket()])
        parent.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failed = any(process.exitcode == STARTUP_FAILURE for process in parent.processes)
    return STARTUP_FAILURE if failed else 0
