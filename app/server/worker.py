"""One process that serves: uvicorn around the application, and how it stops.

On SIGTERM it drains: it says that it isn't ready and closes connections after their answers, but
accepts and answers for a while, until load balancers have noticed. Then it stops accepting, and
ends once all that is in flight is answered. On SIGINT it leaves the first part out.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from functools import partial
from types import FrameType
from typing import Final, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from app.errors import RequestError
from app.http.envelope import OTHER, UNMATCHED, open_record
from app.main import create_app
from app.render.problem import render_problem
from app.server.connection import Connection, ConnectionRules
from app.server.request_parser import RawHeaders
from app.service.logs import configure_logging
from app.service.service import LoadModel, Phase, Service
from app.settings import Settings

_log = logging.getLogger("neumo.server")

HUNG: Final = 70
"""Exit code of a process that ends itself because an image keeps one of its threads."""


class Server(uvicorn.Server):
    """Serves one application on sockets that its parent bound, until told to stop."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._service: Service = app.state.service
        self._settings = settings
        self._rules = ConnectionRules(
            head_timeout_s=settings.head_timeout_s,
            max_head_bytes=settings.max_head_bytes,
            write_timeout_s=settings.body_timeout_s,
            turn_away=self._turn_away,
            refuse=self._refuse,
        )
        self._work_paths = {path.encode(): path for path in app.state.work_paths}
        self._exit_at_s: float | None = None
        self._parent = os.getppid()
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", partial(Connection, self._rules)),
                ws="none",
                workers=1,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # no answer depends on who asks
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=settings.shutdown_grace_s,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the model, then listen."""
        try:
            await super().startup(sockets)
        except OSError as error:  # another service listens since the port was bound
            _log.critical("can't listen", extra={"members": {"reason": error.strerror}})
            os._exit(STARTUP_FAILURE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Drain on SIGTERM, stop on SIGINT."""
        ready = self._service.phase is Phase.READY
        if sig == signal.SIGTERM and ready and self._settings.drain_delay_s > 0:
            self._service.drain()
            self._rules.draining = True
            self._exit_at_s = time.monotonic() + self._settings.drain_delay_s
        elif sig == signal.SIGINT or self._exit_at_s is None:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: see whether it is time to end."""
        if self._exit_at_s is not None and time.monotonic() >= self._exit_at_s:
            self.should_exit = True
        if os.getppid() != self._parent:
            self.should_exit = True  # nobody would end or replace this process any more
        if self._service.admission.longest_s > self._settings.worker_timeout_s:
            _log.critical("an image keeps a thread: this worker ends, to be replaced")
            os._exit(HUNG)  # a thread that hangs can't be ended otherwise
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, without resetting a connection that the kernel has already accepted."""
        self._rules.draining = True
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:  # none is left
                    break
                accepted.setblocking(False)
                await loop.connect_accepted_socket(self._connect, accepted)
        await super().shutdown(sockets)

    def _connect(self) -> Connection:
        return Connection(
            self._rules,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    def _turn_away(self, method: bytes, path: bytes) -> RequestError | None:
        if method != b"POST" or path not in self._work_paths:
            return None
        return self._service.admission.refusal()

    def _refuse(
        self, error: RequestError, path: bytes, headers: RawHeaders
    ) -> tuple[dict[str, str], bytes]:
        record = open_record(headers)
        fields, body = render_problem(error, record.request_id, record.language)
        # What is turned away is a POST to one of these; of all else the head isn't known.
        work = self._work_paths.get(path)
        route, method = (UNMATCHED, OTHER) if work is None else (work, "POST")
        seconds = time.perf_counter() - record.started_s
        self._service.metrics.count_request(route, method, error.status, seconds)
        self._service.metrics.count_refusal(error.code)
        members: dict[str, object] = {
            "request_id": record.request_id,
            "status": error.status,
            "code": error.code,
        }
        _log.info("refused", extra={"members": members})
        fields |= {"content-length": str(len(body)), "x-request-id": record.request_id}
        return fields, body


def build_server(settings: Settings, load_model: LoadModel) -> Server:
    """Build what serves in one process.

    A model that can't be served ends the process at once with `STARTUP_FAILURE`, which also
    tells a parent not to start it again. Nothing is in flight then: it was never ready.
    """
    configure_logging(settings.log_level)
    app = create_app(
        settings,
        load_model,
        on_failure=lambda: os._exit(STARTUP_FAILURE),
        load_before_serving=True,
    )
    return Server(app, settings)
