"""How much waits in the queue, for Prometheus: counted when it asks, the same for all processes."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import QueueAway, QueueFull
from app.exchange.partners.partner_address import parse_partners
from app.records.outbox.outbox import Outbox
from app.settings.exchange_settings import ExchangeSettings

_FILMS: Final = ("waiting", "read", "refused", "failed")
_DELIVERIES: Final = ("waiting", "delivered", "dead")


class QueueCollector(Collector):
    """`neumo_exchange_*`. A partner is told by its number in the settings; 0 is none of them."""

    def __init__(self, outbox: Outbox, settings: ExchangeSettings) -> None:
        self._outbox, self._most_bytes = outbox, settings.exchange_bytes
        self._partners: dict[str, tuple[str, str]] = {
            address.name: (str(number), address.protocol)
            for number, address in enumerate(parse_partners(settings.partners), start=1)
        }

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count; without a queue only that it is away."""
        up = GaugeMetricFamily("neumo_exchange_up", "Whether the queue can be read.", 1)
        try:
            counts = self._outbox.counts()
        except (QueueAway, QueueFull):
            up = GaugeMetricFamily("neumo_exchange_up", "Whether the queue can be read.", 0)
            yield up
            return
        yield up
        films = GaugeMetricFamily(
            "neumo_exchange_films",
            "Films in the queue by state: waiting, read, refused, failed; each until it has been "
            "kept for exchange_hours.",
            labels=["state"],
        )
        for state in _FILMS:
            films.add_metric([state], counts.films.get(state, 0))
        yield films
        deliveries = GaugeMetricFamily(
            "neumo_exchange_deliveries",
            "Results for partners by state: waiting, delivered, dead; the partner by its place in "
            "NEUMO_PARTNERS (0: none any more) and what it speaks.",
            labels=["partner", "protocol", "state"],
        )
        numbers: dict[tuple[str, str, str], int] = dict.fromkeys(
            ((*labels, state) for labels in self._partners.values() for state in _DELIVERIES), 0
        )
        for (partner, state), number in counts.deliveries.items():
            series = (*self._partners.get(partner, ("0", "none")), state)
            numbers[series] = numbers.get(series, 0) + number
        for labels, number in numbers.items():
            deliveries.add_metric(labels, number)
        yield deliveries
        for what, age in (("film", counts.oldest_film), ("delivery", counts.oldest_delivery)):
            yield GaugeMetricFamily(
                f"neumo_exchange_oldest_{what}_seconds",
                f"How long the {what} that waits longest has waited; 0 if none does.",
                0.0 if age is None else age.total_seconds(),
            )
        yield GaugeMetricFamily(
            "neumo_exchange_waiting_bytes",
            "Bytes of films that are not read and of results that are not delivered.",
            counts.waiting_bytes,
        )
        yield GaugeMetricFamily(
            "neumo_exchange_most_bytes",
            "How many may wait: exchange_bytes; then films are refused.",
            self._most_bytes,
        )
