"""Prometheus metrics of the service. No label ever takes a value from a caller."""

import os
from typing import Final, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.image.file_format import Format
from app.model.card import Card
from app.reading.reading import Reading

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one service leave their figures for each other (prometheus-client)."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def share_among_processes(folder: str) -> None:
    """Keep figures in `folder`, for all processes forked from now on to add up."""
    os.environ[MULTIPROCESS_FOLDER] = folder
    # It was chosen when the library was imported.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def forget_process(pid: int | None) -> None:
    """Leave what a process that died had in flight out of the sums."""
    if MULTIPROCESS_FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one process, in a registry of its own.

    With several workers each writes to the folder of `MULTIPROCESS_FOLDER`, and `render`
    adds up what all of them wrote.
    """

    def __init__(self) -> None:
        # Or every counter would come with a second series that nobody asked for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "neumo_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._duration = Histogram(
            "neumo_request_seconds",
            "Time from a request's head to its answer's end.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "neumo_stage_seconds",
            "Time of one stage of a Reading: decode (with resize), inference.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._refusals = Counter(
            "neumo_refusals", "Images and requests refused, by code.", ["code"], registry=registry
        )
        self._unauthenticated = Counter(
            "neumo_unauthenticated",
            "Calls of nobody who is known, by reason: missing, unknown, expired, revoked, token, "
            "throttled.",
            ["reason"],
            registry=registry,
        )
        self._readings = Counter(
            "neumo_readings",
            "Readings given, by label and status (ok, uncertain).",
            ["label", "status"],
            registry=registry,
        )
        self._reasons = Counter(
            "neumo_reasons",
            "Why Readings were uncertain, by the reason's code; one Reading may have several.",
            ["reason"],
            registry=registry,
        )
        self._images = Counter(
            "neumo_images",
            "Images decoded for what was asked (reading, preview), by format.",
            ["format", "for"],
            registry=registry,
        )
        self._model = Gauge(
            "neumo_model_info",
            "The model that is served; always 1.",
            ["name", "version", "sha256"],
            registry=registry,
            multiprocess_mode="max",
        )

        self._in_flight = Gauge(
            "neumo_in_flight",
            "Requests for a Reading that were let in and are not answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._queue = Gauge(
            "neumo_queue_depth",
            "Images that wait for a thread.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._dropped = Counter(
            "neumo_dropped",
            "Images given up before a stage (decode, inference), because their client had gone, "
            "their deadline had passed or the service stopped.",
            ["reason", "before"],
            registry=registry,
        )

    @property
    def registry(self) -> CollectorRegistry:
        """Where a room above puts metrics of its own."""
        return self._registry

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request under its route's template."""
        self._requests.labels(route, method, str(status)).inc()
        self._duration.labels(route).observe(seconds)

    def count_reading(self, reading: Reading) -> None:
        """Count one Reading and its stages."""
        self._readings.labels(reading.judgement.label, reading.judgement.status).inc()
        for reason in reading.judgement.reasons:
            self._reasons.labels(reason).inc()
        self._stages.labels("decode").observe(reading.decode_ms / 1000)
        self._stages.labels("inference").observe(reading.inference_ms / 1000)
        self.count_image(reading.facts.format, "reading")

    def count_image(self, image_format: Format, purpose: Literal["reading", "preview"]) -> None:
        """Count one image that was decoded to be read or shown."""
        self._images.labels(image_format, purpose).inc()

    def count_refusal(self, code: str) -> None:
        """Count one problem that was answered, alone or within a batch."""
        self._refusals.labels(code).inc()

    def count_unauthenticated(self, reason: str) -> None:
        """Count one call that showed no valid key, certificate or token."""
        self._unauthenticated.labels(reason).inc()

    def count_dropped(
        self,
        reason: Literal["client_gone", "deadline", "stopped"],
        before: Literal["decode", "inference"],
    ) -> None:
        """Count one image that was given up before a stage."""
        self._dropped.labels(reason, before).inc()

    def set_in_flight(self, requests: int) -> None:
        """Say how many requests were let in and are not answered."""
        self._in_flight.set(requests)

    def set_queue(self, images: int) -> None:
        """Say how many images wait for a thread."""
        self._queue.set(images)

    def set_model(self, card: Card) -> None:
        """Say which model is served."""
        self._model.labels(card.name, card.version, card.sha256).set(1)

    def render(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format."""
        registry = self._registry
        if MULTIPROCESS_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
