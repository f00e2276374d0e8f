"""An archive that takes results by C-STORE (PS3.4 annex B): one association for several of them."""

import io
import logging
import ssl
from collections.abc import Generator, Sequence
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from app.exchange.dimse.pynetdicom_logs import quiet_pynetdicom
from app.exchange.partners.partner_address import PartnerAddress
from app.exchange.partners.sending import Sent, Verdict, judge_status
from app.records.outbox.queue_entries import DueDelivery, Kind

_log = logging.getLogger("neumo.exchange")

_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""One context each: an archive that takes the first gets the bytes as they are."""

_LOST: Final = "association_lost"


class DicomPartner:
    """Sends to one archive.

    Parameters
    ----------
    own_title : Neumo's application entity title
    timeout_s : for each step: to connect, to negotiate, to answer
    tls : None: unencrypted
    """

    kinds: frozenset[Kind] = frozenset(("sr", "sc"))

    def __init__(
        self,
        address: PartnerAddress,
        own_title: str,
        timeout_s: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        quiet_pynetdicom()
        self.name = address.name
        self._address, self._tls = address, tls
        self._entity = entity = ApplicationEntity(own_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
        entity.connection_timeout = timeout_s

    def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
        """Send objects over one association; end early if that ends."""
        objects = [(delivery, dcmread(io.BytesIO(delivery.data))) for delivery in due]
        association = self._associate({dataset.SOPClassUID for _, dataset in objects})
        if not _stands(association):
            yield due[0], Sent(Verdict.AWAY, _why_not(association))
            return
        try:
            for delivery, dataset in objects:
                sent = _store(association, dataset)
                yield delivery, sent
                if sent.code == _LOST or not _stands(association):
                    return
        finally:
            if _stands(association):
                association.release()

    def close(self) -> None:
        """End what may be left of associations."""
        self._entity.shutdown()

    def _associate(self, sop_classes: set[str]) -> Association:
        self._entity.requested_contexts = []
        for sop_class in sorted(sop_classes):
            for syntax in _SYNTAXES:
                self._entity.add_requested_context(sop_class, syntax)
        address = self._address
        return self._entity.associate(
            address.host,
            address.port,
            ae_title=address.title,
            tls_args=None if self._tls is None else (self._tls, address.host),
        )


def _store(association: Association, dataset: Dataset) -> Sent:
    """Send one object over an association that stands."""
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    if dataset.SOPClassUID not in accepted:
        return Sent(Verdict.NEVER, "sop_class_not_accepted")
    try:
        status = association.send_c_store(dataset)
    except Exception as error:  # noqa: BLE001 - its text may quote the object
        _log.error("an object can't be sent", extra={"members": {"error": type(error).__name__}})
        return Sent(Verdict.AGAIN, "not_sent")
    if "Status" not in status:  # the partner gave up, or has not answered in time
        return Sent(Verdict.AGAIN, _LOST)
    return judge_status(int(status.Status))


def _stands(association: Association) -> bool:
    """Whether objects can be sent; its thread changes that at any time."""
    return association.is_established


def _why_not(association: Association) -> str:
    if association.is_rejected:
        return "association_rejected"
    return "association_aborted" if association.acceptor.primitive else "no_answer"
