"""docs/reference/metrics.md: the registries of `app.service` and `app.records`, walked."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from app.records.audit_metrics import AuditMetrics, LiveMetrics
from app.service.service import Service, load_model_from
from app.service.telemetry import Metrics
from app.settings.settings import Settings
from tools.reference.markdown_table import GENERATED, code, render_table


def render_page() -> str:
    """Return the page."""
    metrics = Service(Settings(), load_model_from, lambda: None).metrics
    recorded = CollectorRegistry()
    AuditMetrics(recorded)
    LiveMetrics(recorded)
    # prometheus-client tells labels of what was counted only: names come from its collectors.
    counted = [*_counted(metrics._registry), *_read_off(metrics), *_counted(recorded)]
    rows = [
        [code(_exposed_name(name, kind)), kind, " ".join(map(code, labels)), text]
        for name, kind, labels, text in counted
    ]
    lines = [
        "# Metrics",
        "",
        GENERATED,
        "",
        "`GET /metrics` gives them in Prometheus' text format, summed over all workers. A route is",
        "its template, as `/predict`; no label takes a value from a caller. A histogram has the",
        "series `_bucket`, `_sum` and `_count`. Those of the audit trail and of feedback are there",
        "where `NEUMO_AUDIT_FOLDER` is set. What to watch: [runbook](../runbook.md).",
        "",
        *render_table(["metric", "type", "labels", "means"], rows),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _counted(registry: CollectorRegistry) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield name, type, labels and meaning of what is counted."""
    for each in registry._collector_to_names:
        if isinstance(each, MetricWrapperBase):
            yield each._name, str(each._type), list(each._labelnames), each._documentation


def _read_off(metrics: Metrics) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield the same of what is read off when it is asked for."""
    for collector in metrics._collectors:
        for family in collector.collect():
            labels = getattr(family, "_labelnames", ())
            yield family.name, family.type, list(labels), family.documentation


def _exposed_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
