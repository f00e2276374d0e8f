"""uvicorn around the application: what one worker runs, and how it stops.

On SIGTERM it drains: it says that it isn't ready and closes connections after their answers, but
accepts and answers for a while, until load balancers have noticed. Then it stops accepting, and
ends once all that is in flight is answered. On SIGINT it leaves the first part out.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import uvicorn

from app.access.rates import RateTable
from app.errors import RequestError
from app.http.answer import problem_answer
from app.http.front.cors import Origins
from app.http.front.envelope import OTHER, UNMATCHED, open_record
from app.main import create_app
from app.server.acceptor import Acceptor
from app.server.balance import ConnectionTable
from app.server.connection.connection import Connection
from app.server.connection.connection_rules import ConnectionRules
from app.server.connection.request_parser import RawHeaders
from app.server.tls import Tls
from app.server.worker import STARTUP_FAILURE
from app.service.active.model_roster import SharedModels
from app.service.logs import configure_logging
from app.service.service import LoadModel, Phase, Service
from app.settings.settings import Settings

_log = logging.getLogger("neumo.server")

HUNG: Final = 70
"""Exit code of a process that ends itself because an image keeps one of its threads."""


class Server(uvicorn.Server):
    """Serves one application on a socket that its parent bound, until told to stop.

    Parameters
    ----------
    app : of ASGI
    work_targets : what takes work, which is refused when there is too much of it; its route by
        the path in a request line
    table, worker : of all workers' connections, and this one's row
    tls : of all connections; None for those in the clear
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - each library has a type of its own for an ASGI application
        service: Service,
        work_targets: Mapping[bytes, str],
        settings: Settings,
        table: ConnectionTable,
        worker: int,
        tls: Tls | None = None,
    ) -> None:
        self._tls = tls
        self._service = service
        self._settings = settings
        self._table = table
        self._worker = worker
        self._acceptor: Acceptor | None = None
        self._rules = ConnectionRules(
            head_timeout_s=settings.head_timeout_s,
            max_head_bytes=settings.max_head_bytes,
            write_timeout_s=settings.body_timeout_s,
            turn_away=self._turn_away,
            refuse=self._refuse,
            on_closed=self._on_closed,
        )
        self._work_targets = work_targets
        self._origins = Origins(settings.allowed_origins)
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
        """Load the model, then accept."""
        await super().startup(sockets=[])  # it would listen, and accept, on each
        if not self.started:  # older ones return
            sys.exit(STARTUP_FAILURE)
        for listener in sockets or []:
            self._acceptor = Acceptor(
                listener,
                self._table,
                self._worker,
                self._new_connection,
                self._tls,
                self._settings.head_timeout_s,
                self._settings.body_timeout_s,
            )
            self._acceptor.start()

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
        if self._tls is not None:
            self._tls.look()
        if self._acceptor is not None:
            self._acceptor.give_sign()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, without resetting a connection that the kernel has already accepted."""
        self._rules.draining = True
        if self._acceptor is not None:
            await self._acceptor.stop()
        await super().shutdown(sockets)

    def _new_connection(self) -> asyncio.Protocol:
        # uvicorn's own way to make one, with the arguments that it would give.
        new: Any = self.config.http_protocol_class
        connection: asyncio.Protocol = new(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection

    def _on_closed(self) -> None:
        if self._acceptor is not None:
            self._acceptor.on_closed()

    def _turn_away(self, method: bytes, path: bytes) -> RequestError | None:
        if method != b"POST" or path not in self._work_targets:
            return None
        return self._service.admission.refusal()

    def _refuse(
        self, error: RequestError, path: bytes, headers: RawHeaders
    ) -> tuple[dict[str, str], bytes]:
        record = open_record(headers)
        fields, body = problem_answer(error, record.request_id, record.language)
        # What is turned away is a POST to one of these; of all else the head isn't known.
        work = self._work_targets.get(path)
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
        for name, value in self._origins.answer_headers(headers).items():
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields, body


@dataclass(frozen=True, slots=True)
class Shared:
    """What the parent makes before it forks, for all workers.

    Parameters
    ----------
    table : of their connections
    rates : of their callers
    tls : None for connections in the clear
    models : which of them is active
    """

    table: ConnectionTable
    rates: RateTable
    tls: Tls | None
    models: SharedModels


def build_server(settings: Settings, load_model: LoadModel, shared: Shared, worker: int) -> Server:
    """Build what one worker runs.

    A model that can't be served ends the process at once with `STARTUP_FAILURE`, which also
    tells a parent not to start it again. Nothing is in flight then: it was never ready.
    """
    configure_logging(settings.log_level)
    app = create_app(
        settings,
        load_model,
        on_failure=lambda: os._exit(STARTUP_FAILURE),
        load_before_serving=True,
        rates=shared.rates,
        shared_models=shared.models,
        row=worker,
    )
    service: Service = app.state.service
    targets = app.state.routes.work_targets()
    return Server(app, service, targets, settings, shared.table, worker, shared.tls)
