"""What surrounds every request: its id and language, its log line, its counters, its last resort.

A pure ASGI middleware, outside everything else of the application.
"""

import asyncio
import logging
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from app.errors import InternalError, NotReady, RequestError
from app.language import Language, negotiate
from app.render.problem import problem_response
from app.service.telemetry import Metrics

_log = logging.getLogger("neumo.request")

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_QUIET_ROUTES: Final = ("/health/live", "/health/ready", "/health/startup", "/metrics")
UNMATCHED: Final = "unmatched"
OTHER: Final = "other"
_CLIENT_CLOSED: Final = 499  # nginx's number for a client that left before its answer


@dataclass(slots=True)
class Record:
    """One request, as the log and the metrics will tell it.

    `started_s` is `time.perf_counter` at its head, `stages_ms` the milliseconds of each stage,
    summed over the files of a batch.
    """

    request_id: str
    language: Language
    started_s: float
    status: int = _CLIENT_CLOSED
    code: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)


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
    )


class Envelope:
    """Wraps each HTTP request: gives it an id, logs and counts it, answers what failed.

    Parameters
    ----------
    paths : the application's own; any other is told as "unmatched", for a path may name a patient
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._paths = paths
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = open_record(scope["headers"])
        scope["neumo.record"] = record
        answering = False

        async def send_marked(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                record.status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = record.request_id
            await send(message)

        async def answer_unless_begun(error: RequestError, headers: Mapping[str, str]) -> None:
            if answering:
                return
            record.code = error.code
            failure = problem_response(error, record.request_id, record.language)
            failure.headers.update(headers)
            await failure(scope, receive, send_marked)

        try:
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            record.status = _CLIENT_CLOSED
        except asyncio.CancelledError:  # the grace of a stop is over
            await answer_unless_begun(NotReady(), {"Connection": "close"})
        except Exception:  # noqa: BLE001 - the last resort: nothing may leave unanswered
            _log.exception("request failed", extra={"members": {"request_id": record.request_id}})
            await answer_unless_begun(InternalError(), {})
        finally:
            self._account(scope, record)

    def _account(self, scope: Scope, record: Record) -> None:
        seconds = time.perf_counter() - record.started_s
        route = scope["path"] if scope["path"] in self._paths else UNMATCHED
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
        if record.stages_ms:
            members["stages_ms"] = record.stages_ms
        if record.code is not None:
            members["code"] = record.code
        level = logging.DEBUG if route in _QUIET_ROUTES else logging.INFO
        _log.log(level, "request", extra={"members": members})


def _request_id(given: str) -> str:
    """Keep a caller's id if it is shaped like a UUID or ULID, else make a ULID."""
    if _UUID.fullmatch(given) or _ULID.fullmatch(given):
        return given
    return str(ULID())
