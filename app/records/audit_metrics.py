"""Metrics of what is written down, and of what the answers turned out to be worth."""

from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Gauge

from app.records.performance import Performance, Rate


class AuditMetrics:
    """The audit trail's own counters, beside those of `app.service.telemetry.Metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter(
            "neumo_audit_rows",
            "Rows of the audit trail that its database has taken, by kind.",
            ["kind"],
            registry=registry,
        )
        self._lost = Counter(
            "neumo_audit_lost",
            "Rows that could not be written down: spool full or disk full.",
            registry=registry,
        )
        self._failures = Counter(
            "neumo_audit_failures",
            "Times that the audit trail could not be written, by where: spool, database.",
            ["where"],
            registry=registry,
        )
        self._spool = Gauge(
            "neumo_audit_spool_bytes",
            "Bytes of rows on their way to the database, in the workers' spools.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._full = Gauge(
            "neumo_audit_full",
            "Whether rows can't be written down now: 1 if so in any worker.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._lag = Gauge(
            "neumo_audit_lag_seconds",
            "Age of the oldest row that the database has not taken, in the worst worker.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._last_flush = Gauge(
            "neumo_audit_last_flush_timestamp_seconds",
            "When the database last had all rows, since 1970, in the worst worker.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def count_rows(self, kinds: list[str]) -> None:
        """Count rows that the database took."""
        for kind, count in Count(kinds).items():
            self._rows.labels(kind).inc(count)

    def count_lost(self, rows: int) -> None:
        """Count rows that will never be written."""
        self._lost.inc(rows)

    def count_failure(self, where: str) -> None:
        """Count a write that failed and is tried again."""
        self._failures.labels(where).inc()

    def set_spool(self, size: int, *, full: bool) -> None:
        """Say how many bytes wait on disk, and whether no more fit."""
        self._spool.set(size)
        self._full.set(int(full))

    def set_flush(self, lag_s: float, now_s: float) -> None:
        """Say how far the database is behind."""
        self._lag.set(max(0.0, lag_s))
        if lag_s <= 0:
            self._last_flush.set(now_s)


class LiveMetrics:
    """What the answers turned out to be worth, by feedback. All workers tell the same.

    Label `bound`: value, low, high (of the exact 95 % interval).
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: list[str]) -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode="mostrecent")

        self._films = gauge("neumo_live_films", "Films with feedback, by their truth.", ["truth"])
        self._sensitivity = gauge(
            "neumo_live_sensitivity",
            "Share of the films of a label, or set of labels, called rightly.",
            ["truth", "bound"],
        )
        self._specificity = gauge(
            "neumo_live_specificity",
            "Share of the films a label is ruled out for that are not called by it.",
            ["label", "bound"],
        )
        self._observed = gauge(
            "neumo_live_observed",
            "Share of the films read that showed a label.",
            ["label", "bound"],
        )
        self._predicted = gauge(
            "neumo_live_predicted",
            "Mean probability of a label on the same films: within neumo_live_observed's interval "
            "if it is calibrated.",
            ["label"],
        )
        self._wrong = gauge(
            "neumo_live_wrong", "Share of the ok answers that were wrong.", ["bound"]
        )
        self._outside = gauge(
            "neumo_live_outside_acceptance",
            "1 if a live rate's interval has nothing in common with the acceptance's, else 0: "
            "sensitivity by truth, or wrong.",
            ["figure"],
        )

    def show(self, performance: Performance) -> None:
        """Show what was worked out."""
        compared = {name: each.sensitivity for name, each in performance.labels.items()}
        for truth, each in (compared | performance.others).items():
            self._films.labels(truth).set(each.live.films)
            _show(self._sensitivity, each.live, truth)
            if each.against is not None:
                self._outside.labels(truth).set(int(each.against != "within"))
        for label, of_label in performance.labels.items():
            _show(self._specificity, of_label.specificity, label)
            _show(self._observed, of_label.calibration.observed, label)
            if of_label.calibration.mean_probability is not None:
                self._predicted.labels(label).set(of_label.calibration.mean_probability)
        _show(self._wrong, performance.wrong.live)
        if performance.wrong.against is not None:
            self._outside.labels("wrong").set(int(performance.wrong.against != "within"))


def _show(gauge: Gauge, rate: Rate, *labels: str) -> None:
    if rate.value is None:
        return  # from 0 to 1 is no news
    for bound, value in (("value", rate.value), ("low", rate.low), ("high", rate.high)):
        gauge.labels(*labels, bound).set(value)
