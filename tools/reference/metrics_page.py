"""docs/reference/metrics.md: the registry of `app.service.telemetry`, walked."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from app.service.telemetry import Metrics
from tools.reference.markdown_table import GENERATED, code, render_table


def render_page() -> str:
    """Return the page."""
    rows = [
        [code(_exposed_name(each)), str(each._type), _labels(each), each._documentation]
        for each in _collectors(Metrics())
    ]
    lines = [
        "# Metrics",
        "",
        GENERATED,
        "",
        "`GET /metrics` gives them in Prometheus' text format, summed over all workers. A route is",
        "its template, as `/predict`; no label takes a value from a caller. A histogram has the",
        "series `_bucket`, `_sum` and `_count`. What to watch:",
        "[operations](../operations.md#protections).",
        "",
        *render_table(["metric", "type", "labels", "means"], rows),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _collectors(metrics: Metrics) -> list[MetricWrapperBase]:
    # prometheus-client tells labels of what was counted only: names come from its collectors.
    registry: CollectorRegistry = metrics._registry
    return [each for each in registry._collector_to_names if isinstance(each, MetricWrapperBase)]


def _exposed_name(metric: MetricWrapperBase) -> str:
    suffix = "_total" if metric._type == "counter" else ""
    return f"{metric._name}{suffix}"


def _labels(metric: MetricWrapperBase) -> str:
    return " ".join(map(code, metric._labelnames))
