"""docs/reference/metrics.md: the registries of all rooms that count, walked."""

from collections.abc import Iterable, Iterator
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.exchange.exchange_metrics import QueueCollector
from app.records.audit_metrics import AuditMetrics, LiveMetrics
from app.records.outbox.outbox import Outbox
from app.service.service import Service, load_model_from
from app.settings.exchange_settings import ExchangeSettings
from app.settings.settings import Settings
from tools.reference.markdown_table import GENERATED, code, render_table


def render_page() -> str:
    """Return the page."""
    metrics = Service(Settings(), load_model_from, lambda: None).metrics
    recorded = CollectorRegistry()
    AuditMetrics(recorded)
    LiveMetrics(recorded)
    # prometheus-client tells labels of what was counted only: names come from its collectors.
    counted = [
        *_counted(metrics._registry),
        *_read_off(metrics._collectors),
        *_counted(recorded),
        *_read_off([_EmptyQueue()]),
    ]
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
        "where `NEUMO_AUDIT_FOLDER` is set, `neumo_exchange_*` where `NEUMO_EXCHANGE_FOLDER` is.",
        "What to watch: [runbook](../runbook.md).",
        "",
        *render_table(["metric", "type", "labels", "means"], rows),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _counted(registry: CollectorRegistry) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield name, type, labels and meaning of what is counted."""
    for each in registry._collector_to_names:
        if isinstance(each, MetricWrapperBase):
            yield each._name, str(each._type), list(each._labelnames), each._documentation


class _EmptyQueue(Collector):
    """What is told of a queue that has nothing in it."""

    def collect(self) -> Iterator[Metric]:
        with TemporaryDirectory() as folder:
            settings = ExchangeSettings(exchange_folder=folder)
            outbox = Outbox.of(settings)
            yield from QueueCollector(outbox, settings).collect()
            outbox.close()


def _read_off(collectors: Iterable[Collector]) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield the same of what is read off when it is asked for."""
    for collector in collectors:
        for family in collector.collect():
            labels = getattr(family, "_labelnames", ())
            yield family.name, family.type, list(labels), family.documentation


def _exposed_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
