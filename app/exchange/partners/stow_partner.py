"""An archive that takes results by STOW-RS (PS3.18 section 10.5)."""

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from app.exchange.partners.http_sending import Answer, HttpSender, judge_http
from app.exchange.partners.partner_address import PartnerAddress
from app.exchange.partners.sending import Sent, Verdict, judge_status
from app.records.outbox.queue_entries import DueDelivery, Kind

_FAILED_SEQUENCE = "00081198"
_INSTANCE_UID = "00081155"
_FAILURE_REASON = "00081197"


class StowPartner:
    """Sends to one archive, an object a request: so what is answered is of that object."""

    kinds: frozenset[Kind] = frozenset(("sr", "sc"))

    def __init__(self, address: PartnerAddress, sender: HttpSender) -> None:
        self.name = address.name
        self._url = f"{address.url}/studies"
        self._sender = sender

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
        """Send objects, one after the other."""
        for delivery in due:
            boundary = secrets.token_hex(16)
            head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
            content = b"".join((head.encode(), delivery.data, f"\r\n--{boundary}--\r\n".encode()))
            answer = self._sender.post(
                self._url,
                content,
                {
                    "Content-Type": 'multipart/related; type="application/dicom"; '
                    f"boundary={boundary}",
                    "Accept": "application/dicom+json",
                },
            )
            yield delivery, answer if isinstance(answer, Sent) else judge_stow(answer, delivery.uid)


def judge_stow(answer: Answer, uid: str) -> Sent:
    """Return what an answer to a store of one object means (PS3.18 section 10.5.3).

    A list of failures counts more than the status: 202 may go with a failure, and 409 tells in it
    whether the archive has the object already.
    """
    if answer.status not in (200, 202, 409):
        return judge_http(answer)
    reason = _failure_reason(answer.content, uid)
    if reason is not None:
        return judge_status(reason)
    if answer.status == 202:  # noqa: PLR2004 - accepted, with a warning
        return judge_status(0)
    return judge_http(answer) if answer.status == 200 else Sent(Verdict.AGAIN, "http_409")  # noqa: PLR2004


def _failure_reason(content: bytes, uid: str) -> int | None:
    """Return Failure Reason of the object, if the answer (PS3.18 annex F) lists it."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    for item in _items(answer[0] if isinstance(answer, list) and answer else answer):
        named = _value(item, _INSTANCE_UID)
        reason = _value(item, _FAILURE_REASON)
        if isinstance(reason, int) and not isinstance(reason, bool) and named in (uid, None):
            return reason & 0xFFFF
    return None


def _items(answer: object) -> list[Any]:
    sequence = answer.get(_FAILED_SEQUENCE) if isinstance(answer, dict) else None
    items = sequence.get("Value") if isinstance(sequence, dict) else None
    return items if isinstance(items, list) else []


def _value(item: object, tag: str) -> object:
    attribute = item.get(tag) if isinstance(item, Mapping) else None
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return values[0] if isinstance(values, list) and values else None
