"""The partners' addresses, as NEUMO_PARTNERS has them."""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from app.errors import PartnersUnusable

Protocol = Literal["dicom", "stow", "fhir"]

_SCHEMES: Final[dict[str, tuple[Protocol, bool]]] = {
    "dicom": ("dicom", False),
    "dicoms": ("dicom", True),
    "http": ("stow", False),
    "https": ("stow", True),
    "fhir+http": ("fhir", False),
    "fhir+https": ("fhir", True),
}
_TITLE: Final = re.compile(r"[\x21-\x5B\x5D-\x7E]([\x20-\x5B\x5D-\x7E]{0,14}[\x21-\x5B\x5D-\x7E])?")


@dataclass(frozen=True, slots=True)
class PartnerAddress:
    """Where a partner is, and what is spoken with it.

    Parameters
    ----------
    name : the address as it was given; it stands in the queue, in logs and metrics
    title : application entity title; empty but for DICOM
    port : of DICOM; 0 else
    url : over HTTP, without a slash at its end; empty for DICOM
    """

    name: str
    protocol: Protocol
    encrypted: bool
    host: str
    port: int = 0
    title: str = ""
    url: str = ""


def parse_partners(text: str) -> list[PartnerAddress]:
    """Return the partners of a list that is separated by commas.

    Raises
    ------
    PartnersUnusable
        It tells which of them by its number, and quotes nothing: a URL may hold a secret.
    """
    words = [word for word in (part.strip() for part in text.split(",")) if word]
    partners = [_parse(word, number) for number, word in enumerate(words, start=1)]
    for number, word in enumerate(words, start=1):
        if words.index(word) < number - 1:
            raise PartnersUnusable(number=number, reason="is named twice")
    return partners


def _parse(word: str, number: int) -> PartnerAddress:
    def refuse(reason: str) -> PartnersUnusable:
        return PartnersUnusable(number=number, reason=reason)

    try:
        parts = urlsplit(word)
        port = parts.port
    except ValueError:
        raise refuse("is no address") from None
    if parts.scheme not in _SCHEMES:
        raise refuse("has another scheme")
    if not parts.hostname or not word.isascii() or not word.isprintable() or " " in word:
        raise refuse("names no host")
    if parts.query or parts.fragment:
        raise refuse("has a query or a fragment, which is not sent")
    protocol, encrypted = _SCHEMES[parts.scheme]
    if protocol == "dicom":
        return _of_dicom(word, parts, port, encrypted, refuse("is no scheme://AET@host:port"))
    if parts.username is not None or parts.password is not None:
        raise refuse("holds a password, which belongs into NEUMO_PARTNER_AUTHORIZATION_FILE")
    url = word.removeprefix("fhir+").rstrip("/")
    return PartnerAddress(word, protocol, encrypted, parts.hostname, url=url)


def _of_dicom(
    word: str, parts: SplitResult, port: int | None, encrypted: bool, refusal: PartnersUnusable
) -> PartnerAddress:
    title = parts.username or ""
    bare = parts.password is None and parts.path in ("", "/")
    if not port or not bare or not _TITLE.fullmatch(title) or not parts.hostname:
        raise refusal
    return PartnerAddress(word, "dicom", encrypted, parts.hostname, port, title)
