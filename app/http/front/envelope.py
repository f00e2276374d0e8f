"""What surrounds every request: its id and language, its errors, its log line, its counters.

A pure ASGI middleware, outside everything else of the application: whatever fails in there is
answered here, and nowhere else.
"""

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from app.errors import CallerGone, InternalError, MethodNotAllowed, NotReady, RequestError
from app.http.answer import problem_response
from app.http.front.guard import caller_of
from app.http.route_table import RouteTable
from app.language import Language, negotiate
from app.reading.reading import Reading
from app.service.telemetry import Metrics
from app.service.trace import Trace, Tracer, trace_id_of

_log = logging.getLogger("neumo.request")

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_QUIET_ROUTES: Final = (
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/v2/health/live",
    "/v2/health/ready",
    "/metrics",
)
UNMATCHED: Final = "unmatched"
OTHER: Final = "other"
_CLIENT_CLOSED: Final = 499  # nginx's number for a client that left before its answer


@dataclass(slots=True)
class Record:
    """One request, as the log and the metrics will tell it.

    `started_s` is `time.perf_counter` at its head, `stages_ms` the milliseconds of each stage,
    summed over the files of a batch, `headers` are added to the answer, also to that of an error.
    `trace_id` is of the trace that it is part of, `trace` follows it where traces are collected.
    """

    request_id: str
    language: Language
    started_s: float
    status: int = _CLIENT_CLOSED
    code: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    trace: Trace | None = None

    @property
    def total_ms(self) -> float:
        """Milliseconds since the request's head."""
        return (time.perf_counter() - self.started_s) * 1000

    def add_stages(self, reading: Reading) -> None:
        """Add the times of one Reading."""
        for stage, spent_ms in (("decode", reading.decode_ms), ("inference", reading.inference_ms)):
            self.stages_ms[stage] = round(self.stages_ms.get(stage, 0) + spent_ms, 3)


def record_of(scope: Scope) -> Record:
    """Return the record that `Envelope` put into a request's scope."""
    record: Record = scope["neumo.record"]
    return record


def open_record(raw_headers: list[tuple[bytes, bytes]]) -> Record:
    """Return the record of a request that begins.

    Parameters
    ----------
    raw_headers : as ASGI has them: names in lower case
    """
    headers = Headers(raw=raw_headers)
    return Record(
        request_id=_request_id(headers.get("x-request-id", "")),
        language=negotiate(headers.get("accept-language")),
        started_s=time.perf_counter(),
        trace_id=trace_id_of(headers.get("traceparent", "")),
    )


class Envelope:
    """Wraps each HTTP request: gives it an id, logs and counts it, answers what failed.

    Parameters
    ----------
    routes : any path that is none of them is told as "unmatched", for a path may name a patient
    tracer : of every request but those that watch the service
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, routes: RouteTable, tracer: Tracer | None = None
    ) -> None:
        self._app = app
        self._tracer = tracer
        self._routes = routes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = open_record(scope["headers"])
        scope["neumo.record"] = record
        scope["path"] = self._routes.own_path(scope["path"])
        if self._tracer is not None and scope["path"] not in _QUIET_ROUTES:
            self._begin_trace(self._tracer, scope, record)
        answering = False

        async def send_marked(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = record.request_id
                for name, value in record.headers.items():
                    headers.append(name, value)  # Vary may be there already
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except (CallerGone, ClientDisconnect):
            record.status = _CLIENT_CLOSED
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - the last resort
            error = _error_of(failure, record)
            if not answering:
                record.code = error.code
                answer = self._answer(error, scope, record)
                if isinstance(failure, asyncio.CancelledError):
                    answer.headers["Connection"] = "close"
                await answer(scope, receive, send_marked)
        finally:
            self._account(scope, record)

    def _begin_trace(self, tracer: Tracer, scope: Scope, record: Record) -> None:
        headers = Headers(scope=scope)
        record.trace = tracer.begin(headers.get("traceparent", ""), headers.get("tracestate", ""))
        record.trace_id = record.trace.trace_id

    def _answer(self, error: RequestError, scope: Scope, record: Record) -> Response:
        answer = problem_response(error, record.request_id, record.language, scope["path"])
        path = self._routes.declared_path(scope["path"])
        if isinstance(error, MethodNotAllowed) and path is not None:
            answer.headers["Allow"] = self._routes.methods[path]
        return answer

    def _account(self, scope: Scope, record: Record) -> None:
        seconds = time.perf_counter() - record.started_s
        route = self._routes.declared_path(scope["path"]) or UNMATCHED
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        self._metrics.count_request(route, method, record.status, seconds)
        if record.code is not None:
            self._metrics.count_refusal(record.code)
        members: dict[str, object] = {
            "request_id": record.request_id,
            "method": method,
            "route": route,
            "status": record.status,
            "total_ms": round(seconds * 1000, 3),
        }
        if record.trace_id is not None:
            members["trace_id"] = record.trace_id
        if record.trace is not None:
            record.trace.end(method, route, record.status, record.code, record.request_id)
        if caller := caller_of(scope).name:
            members["caller"] = caller
        if record.stages_ms:
            members["stages_ms"] = record.stages_ms
        if record.code is not None:
            members["code"] = record.code
        level = logging.DEBUG if route in _QUIET_ROUTES else logging.INFO
        _log.log(level, "request", extra={"members": members})


def _error_of(failure: BaseException, record: Record) -> RequestError:
    """Return what a caller is told of a failure; what is Neumo's own fault is logged."""
    if isinstance(failure, RequestError):
        return failure
    if isinstance(failure, asyncio.CancelledError):  # the grace of a stop is over
        return NotReady()
    members = {"request_id": record.request_id}
    if record.trace_id is not None:
        members["trace_id"] = record.trace_id
    _log.error("request failed", exc_info=failure, extra={"members": members})
    return InternalError()


def is_request_id(text: str) -> bool:
    """Whether a text is shaped like a UUID or ULID, so can be a request's id and no name."""
    return bool(_UUID.fullmatch(text) or _ULID.fullmatch(text))


def _request_id(given: str) -> str:
    """Keep a caller's id if it is shaped like one, else make a ULID."""
    return given if is_request_id(given) else str(ULID())
