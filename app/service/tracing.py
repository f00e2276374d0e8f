"""Traces, sent to a collector by OTLP over HTTP: the extra otel, loaded only where it is asked for.

A span of a request, and below it one of each stage. No attribute holds anything of an image, an
answer, a query or a header. Spans wait in a bounded queue for a thread that sends them: a collector
that is slow or away costs no request anything, and what finds no room is dropped.
"""

import os
import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__

_STOP_S: Final = 2.0
_SERVER_ERROR: Final = 500


class OpenTelemetryTracer:
    """Sends traces as the environment's ``OTEL_*`` say: sampler, headers, timeouts, batches.

    Parameters
    ----------
    endpoint : the collector's URL, without /v1/traces; the environment's if empty
    """

    def __init__(self, endpoint: str = "") -> None:
        url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        resource = Resource.create(
            {
                SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or "neumo",
                SERVICE_VERSION: __version__,
            }
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("neumo", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, traceparent: str, tracestate: str) -> "RequestSpan":
        """Begin a request's span, below the caller's if it names one."""
        carrier: Mapping[str, str] = {"traceparent": traceparent, "tracestate": tracestate}
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span("request", parent, SpanKind.SERVER)
        return RequestSpan(self, span)

    def note(self, parent: Span, stage: str, begun_ns: int, ended_ns: int) -> Span:
        """Return a span of a stage, which still has to be ended at `ended_ns`."""
        context = set_span_in_context(parent)
        return self._tracer.start_span(stage, context, start_time=min(begun_ns, ended_ns))

    def stop(self) -> None:
        """Send what waits; what the collector does not take soon is lost."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_STOP_S)


class RequestSpan:
    """One request's span; see `app.service.trace.Trace`."""

    def __init__(self, tracer: OpenTelemetryTracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def note(self, stage: str, begun_ns: int, ended_ns: int, failed: str | None = None) -> None:
        """Note one stage."""
        span = self._tracer.note(self._span, stage, begun_ns, ended_ns)
        if failed is not None:
            span.set_attribute("error.type", failed)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_ns)

    def end(self, method: str, route: str, status: int, code: str | None, request_id: str) -> None:
        """End the request."""
        span = self._span
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "neumo.request_id": request_id,
            }
        )
        if code is not None:
            span.set_attribute("error.type", code)
        if status >= _SERVER_ERROR:  # what a caller sent wrongly is no error of the server's
            span.set_status(Status(StatusCode.ERROR))
        span.end()
