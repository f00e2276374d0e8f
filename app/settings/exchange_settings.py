"""Settings of the exchange with hospital systems: what arrives, what is kept, where results go."""

import ipaddress
from typing import Final, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from app.language import Language

_MOST_TITLE: Final = 16  # characters of an application entity title (PS3.5 section 6.2)
_FILMS_AT_ONCE: Final = 3  # in the listener's memory: as it lies on disk, copied, encrypted
_LISTENER_BYTES: Final = 256 * 2**20  # of addresses, without a film


class ExchangeSettings(BaseSettings):
    """The queue of films and results, the DICOM port, and the partners that get results."""

    exchange_folder: str = Field(
        "",
        description="Folder of the queue: films that wait to be read, results that wait to be "
        "delivered, encrypted. Made if it isn't there. Empty: no exchange, and POST "
        "/dicomweb/studies answers 404.",
    )
    exchange_key_file: str = Field(
        "",
        description="File of the key that encrypts the queue; made, for its owner alone to read, "
        "if it isn't there and nothing was encrypted yet. Empty: exchange.key in exchange_folder, "
        "which whoever can read the queue can read too.",
    )
    exchange_bytes: int = Field(
        10 * 2**30,
        ge=2**20,
        le=2**50,
        description="Most bytes on disk of films and results that wait; then films are refused "
        "(0xA700, 503 queue_full) and the sender tries again.",
    )
    exchange_language: Language = Field(
        "en", description="Language of the texts in results that are sent: en or es."
    )
    exchange_hours: int = Field(
        7 * 24,
        ge=1,
        le=24 * 366,
        description="Hours that a film, a result or a stored reading is kept, delivered or not.",
    )
    partners: str = Field(
        "",
        description="Where results go, separated by commas: dicom://AET@host:port or "
        "dicoms:// (TLS) for C-STORE, https://host/dicom-web for STOW-RS, fhir+https://host/fhir "
        "for FHIR. Empty: results are kept for GET /readings/{id} only.",
    )
    partner_ca_file: str = Field(
        "",
        description="Authorities (PEM) that partners' certificates are checked by, over https:// "
        "and dicoms://; empty: those of the system. If they ask for one, Neumo shows them "
        "dicom_tls_cert_file.",
    )
    partner_authorization_file: str = Field(
        "",
        description="File whose first line is sent as the Authorization header to all partners "
        "over HTTP, as `Bearer TOKEN`; read anew for each request. Never sent unencrypted to "
        "another machine.",
    )
    archive_dicomweb: str = Field(
        "",
        description="Root of the DICOMweb services of the archive that neumo reconcile asks, as "
        "https://host/dicom-web; partner_authorization_file is shown there too. Empty: the first "
        "partner over HTTP.",
    )
    delivery_attempts: int = Field(
        12,
        ge=1,
        le=1000,
        description="Times that a partner may not take a result before it is a dead letter. While "
        "a partner does not answer at all nothing is counted: it waits for exchange_hours.",
    )
    delivery_backoff_s: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="Seconds before a failed delivery's second attempt; doubled after each, up to "
        "an hour, and up to a minute where a partner does not answer.",
    )
    delivery_timeout_s: float = Field(
        30.0, gt=0, le=600, description="Seconds that a partner has to answer."
    )
    ae_title: str = Field(
        "NEUMO",
        pattern=r"^[\x21-\x5B\x5D-\x7E]([\x20-\x5B\x5D-\x7E]{0,14}[\x21-\x5B\x5D-\x7E])?$",
        description="Neumo's own application entity title.",
    )
    dicom_host: str = Field("127.0.0.1", description="Address of the DICOM port.")
    dicom_port: int = Field(
        11112, ge=0, le=65535, description="DICOM port of neumo receive; 0 takes a free one."
    )
    dicom_callers: str = Field(
        "",
        description="Application entity titles that may send, separated by commas; AET@address "
        "binds one to an address. Empty: anybody, on loopback; another dicom_host needs it.",
    )
    dicom_insecure_no_tls: bool = Field(
        False,
        description="Take films on an address other than loopback from whoever knows a caller's "
        "title, without asking for a client certificate: where a firewall or a network of its own "
        "says who can reach the port.",
    )
    dicom_tls_cert_file: str = Field(
        "", description="Certificate (PEM) of the DICOM port; with dicom_tls_key_file: TLS."
    )
    dicom_tls_key_file: str = Field("", description="Private key (PEM) of the DICOM port.")
    dicom_tls_ca_file: str = Field(
        "",
        description="Authorities (PEM) whose client certificates the DICOM port asks for, and that "
        "a dicoms:// partner's certificate is checked by.",
    )
    dicom_associations: int = Field(
        8, ge=1, le=256, description="Associations at once; more are rejected for now."
    )
    dicom_film_bytes: int = Field(
        64 * 2**20,
        ge=2**16,
        le=2**31,
        description="Most bytes of one film over DICOM; a longer one's association is aborted.",
    )
    dicom_memory_bytes: int = Field(
        768 * 2**20,
        ge=256 * 2**20,
        le=2**40,
        description="Memory limit (addresses, RLIMIT_AS) of the process that listens on the DICOM "
        "port; it needs 256 MiB and three times dicom_film_bytes.",
    )
    dicom_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds that an association may be silent."
    )

    @field_validator("dicom_callers")
    @classmethod
    def _check_callers(cls, callers: str) -> str:
        parse_callers(callers)
        return callers

    @model_validator(mode="after")
    def _check_dicom_port(self) -> Self:
        if bool(self.dicom_tls_cert_file) != bool(self.dicom_tls_key_file):
            raise ValueError("NEUMO_DICOM_TLS_CERT_FILE and NEUMO_DICOM_TLS_KEY_FILE go together")
        needed = _LISTENER_BYTES + _FILMS_AT_ONCE * self.dicom_film_bytes
        if self.dicom_memory_bytes < needed:
            raise ValueError(
                f"NEUMO_DICOM_MEMORY_BYTES has to be {needed} at least for films of "
                "NEUMO_DICOM_FILM_BYTES"
            )
        return self

    @property
    def archive_root(self) -> str | None:
        """Whom neumo reconcile asks: `archive_dicomweb`, or the first DICOMweb partner."""
        partners = [each.strip() for each in self.partners.split(",")]
        roots = [self.archive_dicomweb, *(each for each in partners if each.startswith("http"))]
        return next((root for root in roots if root), None)


def parse_callers(text: str) -> frozenset[tuple[str, str]]:
    """Read ``AET`` and ``AET@address``, separated by commas.

    Returns
    -------
    titles and addresses; the address is empty where a title may call from everywhere

    Raises
    ------
    ValueError
        If a title or an address is none.
    """
    callers = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        title, at, address = (part.strip() for part in word.partition("@"))
        if not 0 < len(title) <= _MOST_TITLE or not title.isascii() or "\\" in title:
            raise ValueError("a caller is AET or AET@address, and a title 1 to 16 characters long")
        if at:
            try:
                address = str(ipaddress.ip_address(address))
            except ValueError:
                raise ValueError("the address in AET@address is not an IP address") from None
        callers.add((title, address))
    return frozenset(callers)
