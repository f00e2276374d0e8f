"""Prometheus metrics of the service. No label ever takes a value from a caller."""

import os
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.image.file_format import Format
from app.model.card import Card
from app.model.session import ImageOutputs
from app.reading.reading import Reading
from app.service.active.shadow import Comparison, Lost

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one service leave their figures for each other (prometheus-client)."""

_WATCHED_REFUSALS: Final = ("internal_error", "overloaded", "not_a_chest_xray")
_OUTCOMES: Final = (
    "done",
    "model_unknown",
    "model_not_usable",
    "no_former_model",
    "switch_in_progress",
    "switch_failed",
)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DISTANCES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5, 2, 3, 5)
_CONFIDENCES: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1)
_DIFFERENCES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)


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
        self._warnings = Counter(
            "neumo_warnings",
            "Warnings that Readings carried, by code; one Reading may have several.",
            ["warning"],
            registry=registry,
        )
        self._distance = Histogram(
            "neumo_distance",
            "Distance of films that the network saw, as a share of the card's threshold: over 1 "
            "they are refused.",
            buckets=_DISTANCES,
            registry=registry,
        )
        self._confidence = Histogram(
            "neumo_confidence",
            "Highest probability of films that the network saw, as the card calibrates it.",
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._switches = Counter(
            "neumo_model_switches",
            "Switches of the active model that were asked for, by how they ended: done, or the "
            "code of the problem.",
            ["outcome"],
            registry=registry,
        )
        self._compared = Counter(
            "neumo_shadow_films",
            "Films that the shadow read too, by whether it calls the same label and the same "
            "status.",
            ["same_label", "same_status"],
            registry=registry,
        )
        self._difference = Histogram(
            "neumo_shadow_difference",
            "Largest difference of a label's probability between shadow and active model.",
            buckets=_DIFFERENCES,
            registry=registry,
        )
        self._unread = Counter(
            "neumo_shadow_unread",
            "Films that the shadow did not read: too many waited (queue_full), no idle time came "
            "(busy), or it failed.",
            ["reason"],
            registry=registry,
        )
        self._collectors: list[Collector] = []
        self._in_flight = Gauge(
            "neumo_in_flight",
            "Requests for a Reading that were let in and are not answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._ready = Gauge(
            "neumo_ready_workers",
            "Workers that a Reading can be had of now: not those that load, drain or stop.",
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
        # At 0 from the start: of a series that begins at 1, no rate tells that 1.
        for code in _WATCHED_REFUSALS:
            self._refusals.labels(code)
        for outcome in _OUTCOMES:
            self._switches.labels(outcome)
        for before in ("decode", "inference"):
            self._dropped.labels("deadline", before)

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
        for warning in reading.judgement.warnings:
            self._warnings.labels(warning).inc()
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

    def set_ready(self, ready: bool) -> None:
        """Say whether a Reading can be had of this worker."""
        self._ready.set(int(ready))

    def set_queue(self, images: int) -> None:
        """Say how many images wait for a thread."""
        self._queue.set(images)

    def count_film(self, outputs: ImageOutputs, card: Card) -> None:
        """Count where one film lies that a network saw, also if it is refused."""
        if card.distance_threshold is not None:
            self._distance.observe(outputs.distance / card.distance_threshold)
        self._confidence.observe(max(outputs.probabilities.values()))

    def count_switch(self, outcome: str) -> None:
        """Count one switch of models that was asked for: done, or a problem's code."""
        self._switches.labels(outcome).inc()

    def count_comparison(self, comparison: Comparison) -> None:
        """Count one film that the shadow read too."""
        same = [str(each).lower() for each in (comparison.same_label, comparison.same_status)]
        self._compared.labels(*same).inc()
        self._difference.observe(comparison.difference)

    def count_unread(self, reason: Lost) -> None:
        """Count one film that the shadow did not read."""
        self._unread.labels(reason).inc()

    def add(self, *collectors: Collector) -> None:
        """Tell also what these collect, which is of all processes already."""
        self._collectors += collectors
        if MULTIPROCESS_FOLDER not in os.environ:
            for collector in collectors:
                self._registry.register(collector)

    def render(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format."""
        return self.render_as("")[0]

    def render_as(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers, and their media type.

        Parameters
        ----------
        accept : a header Accept: OpenMetrics where it asks for it, else Prometheus' text format
        """
        registry = self._registry
        if MULTIPROCESS_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            for collector in self._collectors:
                registry.register(collector)
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type
