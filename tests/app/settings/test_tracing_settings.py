"""Whether traces are sent: only where somebody asked for it."""

import pytest
from pydantic import ValidationError

from app.settings.settings import Settings

COLLECTOR = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("endpoint", "environment", "sent"),
    [
        ("", {}, False),
        (COLLECTOR, {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": COLLECTOR}, True),
        ("", {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": COLLECTOR}, False),
        ("", {"OTEL_SERVICE_NAME": "neumo"}, False),
        (COLLECTOR, {"OTEL_SDK_DISABLED": "TRUE"}, False),
        (COLLECTOR, {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_a_collector_has_to_be_named(
    endpoint: str, environment: dict[str, str], sent: bool
) -> None:
    assert Settings(otlp_endpoint=endpoint).traces(environment) is sent


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://a:4317", "http://a b", "http://"])
def test_what_is_no_url_stops_the_start(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        Settings(otlp_endpoint=endpoint)
