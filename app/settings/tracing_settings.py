"""Where traces go."""

import os
from collections.abc import Mapping

from pydantic import Field
from pydantic_settings import BaseSettings


class TracingSettings(BaseSettings):
    """Traces of requests, off unless a collector is named."""

    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="OpenTelemetry collector that traces are sent to, by OTLP over HTTP, as "
        "http://127.0.0.1:4318 (without /v1/traces). Needs neumo[otel]. Empty: as "
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT say; where neither is "
        "set nothing is sent.",
    )

    def traces(self, environment: Mapping[str, str] = os.environ) -> bool:
        """Whether traces are to be sent; OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER can forbid."""
        if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return False
        if environment.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
            return False
        names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        return bool(self.otlp_endpoint or any(environment.get(name) for name in names))
