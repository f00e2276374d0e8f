"""A FHIR server that takes results as transactions (FHIR R4, http.html#transaction)."""

from collections.abc import Generator, Sequence

from app.exchange.partners.http_sending import HttpSender, judge_http
from app.exchange.partners.partner_address import PartnerAddress
from app.exchange.partners.sending import Sent
from app.records.outbox.queue_entries import DueDelivery, Kind


class FhirPartner:
    """Posts bundles to one server: all of a bundle is taken, or nothing.

    What was taken before is not created again: each entry has an ``ifNoneExist``.
    """

    kinds: frozenset[Kind] = frozenset(("fhir",))

    def __init__(self, address: PartnerAddress, sender: HttpSender) -> None:
        self.name = address.name
        self._url = address.url
        self._sender = sender

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
        """Send bundles, one after the other."""
        headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        for delivery in due:
            answer = self._sender.post(self._url, delivery.data, headers)
            yield delivery, answer if isinstance(answer, Sent) else judge_http(answer)
