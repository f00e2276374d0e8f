"""The partners as the settings name them."""

import logging
import ssl
from pathlib import Path

from app.errors import PartnersUnusable
from app.exchange.partners.dicom_partner import DicomPartner
from app.exchange.partners.fhir_partner import FhirPartner
from app.exchange.partners.http_sending import HttpSender, make_tls
from app.exchange.partners.partner_address import PartnerAddress, parse_partners
from app.exchange.partners.sending import Partner
from app.exchange.partners.stow_partner import StowPartner
from app.settings.access_settings import is_loopback
from app.settings.exchange_settings import ExchangeSettings

_log = logging.getLogger("neumo.exchange")


def open_partners(settings: ExchangeSettings) -> list[Partner]:
    """Return the partners; none is asked anything yet.

    Raises
    ------
    PartnersUnusable
    """
    partners = []
    for number, address in enumerate(parse_partners(settings.partners), start=1):
        try:
            partners.append(_open(address, settings))
        except (OSError, ssl.SSLError):
            reason = "needs certificates that can't be read"
            raise PartnersUnusable(number=number, reason=reason) from None
        exposed = not address.encrypted and not is_loopback(address.host)
        if exposed and address.protocol != "dicom" and settings.partner_authorization_file:
            reason = "would be sent the Authorization header unencrypted"
            raise PartnersUnusable(number=number, reason=reason)
        if exposed:
            members = {"partner": address.name}
            _log.warning("results go to a partner unencrypted", extra={"members": members})
    return partners


def _open(address: PartnerAddress, settings: ExchangeSettings) -> Partner:
    timeout_s = settings.delivery_timeout_s
    if address.protocol == "dicom":
        tls = make_tls(settings) if address.encrypted else None
        return DicomPartner(address, settings.ae_title, timeout_s, tls)
    file = settings.partner_authorization_file
    sender = HttpSender(timeout_s, Path(file) if file else None, make_tls(settings))
    if address.protocol == "stow":
        return StowPartner(address, sender)
    return FhirPartner(address, sender)
