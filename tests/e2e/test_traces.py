"""Traces of a real service, as a collector receives them: OTLP over HTTP, in protobuf."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.server import Server, free_port, multipart, running

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
STAGES = {"wait", "decode", "inference", "render", "audit queue"}
ATTRIBUTES = {
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "neumo.request_id",
    "error.type",
}


@dataclass
class Collector:
    """What arrived at /v1/traces."""

    port: int
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    received: bytes = b""

    def named(self, trace_id: str, name: str) -> Span | None:
        """Return a span of a trace."""
        of_trace = [span for span in self.spans if span.trace_id.hex() == trace_id]
        return next((span for span in of_trace if span.name == name), None)

    def wait_for(self, trace_id: str, *names: str) -> dict[str, Span]:
        """Return spans of a trace by name, once all have arrived."""
        end_s = time.monotonic() + 20
        while not all(self.named(trace_id, name) for name in names):
            assert time.monotonic() < end_s, {span.name for span in self.spans}
            time.sleep(0.05)
        return {name: span for name in names if (span := self.named(trace_id, name))}


def attributes(span: Span) -> dict[str, Any]:
    values = {each.key: each.value for each in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector(free_port())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.received += body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = resource.resource.attributes
                collector.resources.append({each.key: each.value.string_value for each in told})
                for scope in resource.scope_spans:
                    collector.spans += scope.spans
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", collector.port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with an audit trail that sends traces."""
    environment = {
        "NEUMO_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "NEUMO_AUDIT_FOLDER": str(tmp_path_factory.mktemp("audit") / "trail"),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with running("--workers", "2", environment=environment) as server:
        yield server


def test_a_reading_is_a_span_below_the_callers_with_one_for_each_stage(
    traced: Server, collector: Collector, jpeg: bytes
) -> None:
    status, headers, _ = traced.call("POST", "/predict?heatmap=true", jpeg, TRACEPARENT)
    assert status == 200
    spans = collector.wait_for(TRACE, "POST /predict", *STAGES)
    request = spans.pop("POST /predict")
    assert request.parent_span_id.hex() == PARENT
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "neumo.request_id": headers["x-request-id"],
    }
    assert {span.parent_span_id for span in spans.values()} == {request.span_id}
    for stage in ("wait", "decode", "inference", "render"):
        span = spans[stage]
        assert request.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= request.end_time_unix_nano
    order = ("wait", "decode", "inference", "render")
    begun = [spans[stage].start_time_unix_nano for stage in order]
    assert begun == sorted(begun)
    assert collector.resources[0]["service.name"] == "neumo"


def test_the_log_names_the_trace(traced: Server, collector: Collector, jpeg: bytes) -> None:
    _, headers, _ = traced.call("POST", "/predict", jpeg, TRACEPARENT)
    assert traced.line_of(headers["x-request-id"])["trace_id"] == TRACE
    _, headers, _ = traced.call("POST", "/predict", jpeg)
    trace_id = traced.line_of(headers["x-request-id"])["trace_id"]
    spans = collector.wait_for(trace_id, "POST /predict")
    assert spans["POST /predict"].parent_span_id == b""
    assert trace_id != TRACE


def test_a_refusal_is_told_by_its_code_and_is_no_error_of_the_server(
    traced: Server, collector: Collector
) -> None:
    trace_id = "a" * 32
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    assert traced.call("POST", "/predict", b"DOE^JOHN", headers)[0] == 415
    spans = collector.wait_for(trace_id, "POST /predict", "read")
    assert attributes(spans["read"]) == {"error.type": "unsupported_media_type"}
    assert spans["read"].status.code == Status.STATUS_CODE_ERROR
    assert attributes(spans["POST /predict"])["error.type"] == "unsupported_media_type"
    assert spans["POST /predict"].status.code == Status.STATUS_CODE_UNSET


def test_what_the_caller_does_not_sample_is_not_sent_but_logged(
    traced: Server, collector: Collector, jpeg: bytes
) -> None:
    trace_id, later = "b" * 32, "c" * 32
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-00"}
    _, answer, _ = traced.call("POST", "/predict", jpeg, headers)
    assert traced.line_of(answer["x-request-id"])["trace_id"] == trace_id
    traced.call("POST", "/predict", jpeg, {"traceparent": f"00-{later}-{PARENT}-01"})
    collector.wait_for(later, "POST /predict")
    assert collector.named(trace_id, "POST /predict") is None


def test_health_and_metrics_are_not_traced(
    traced: Server, collector: Collector, jpeg: bytes
) -> None:
    trace_id = "d" * 32
    for path in ("/health/ready", "/metrics"):
        traced.call("GET", path)
    traced.call("POST", "/predict", jpeg, {"traceparent": f"00-{trace_id}-{PARENT}-01"})
    collector.wait_for(trace_id, "POST /predict")
    names = {span.name for span in collector.spans}
    assert not [name for name in names if "health" in name or "metrics" in name]


def test_nothing_of_a_patient_is_sent(traced: Server, collector: Collector, jpeg: bytes) -> None:
    canary, trace_id = "DOE^JOHN-1970", "e" * 32
    headers = {
        "traceparent": f"00-{trace_id}-{PARENT}-01",
        "User-Agent": canary,
        "X-Request-ID": canary,
        "baggage": f"patient={canary}",
    }
    body, form = multipart(("file", f"{canary}.jpg", jpeg))
    traced.call("POST", f"/predict?age_years=37&view=PA&name={canary}", body, headers | form)
    traced.call("GET", f"/patients/{canary}", headers=headers)
    collector.wait_for(trace_id, "POST /predict", "audit queue", "GET unmatched")
    assert canary.encode() not in collector.received
    assert b"DOE" not in collector.received
    assert set().union(*(attributes(span) for span in collector.spans)) <= ATTRIBUTES
    for label in (b"covid19", b"pneumonia"):
        assert label not in collector.received  # an answer, beside its request's id


def test_a_collector_that_is_away_costs_no_request_anything(jpeg: bytes) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with running(environment=environment | {"OTEL_BSP_SCHEDULE_DELAY": "50"}) as server:
        for _ in range(5):
            begun_s = time.monotonic()
            assert server.call("POST", "/predict", jpeg)[0] == 200
            assert time.monotonic() - begun_s < 2
        begun_s = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert time.monotonic() - begun_s < 10


def test_spans_that_wait_are_sent_when_it_stops(jpeg: bytes) -> None:
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/traces",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_SERVICE_NAME": "radiology-2",
        }
        with running(environment=environment) as server:
            server.call("POST", "/predict", jpeg, TRACEPARENT)
            assert collector.spans == []
            server.process.terminate()
            assert server.process.wait(20) == 0
        assert collector.named(TRACE, "POST /predict") is not None
        assert collector.resources[0]["service.name"] == "radiology-2"


def test_nothing_is_loaded_unless_a_collector_is_named() -> None:
    code = (
        "import sys; from app.main import create_app; create_app();"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')"
        " or name.startswith('opentelemetry.exporter')])"
    )
    environment = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
