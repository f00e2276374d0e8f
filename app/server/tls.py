"""TLS: one context for the connections to come, and a new one when the files change.

A new context is made beside the one that serves and takes its place once it is whole, so a
certificate that is just being written breaks nothing, and no connection notices.
"""

import logging
import ssl
import time
from pathlib import Path
from typing import Final, NoReturn, Self

from app.errors import TlsUnusable
from app.settings.tls_settings import TlsSettings

_log = logging.getLogger("neumo.tls")

_LOOK_EVERY_S: Final = 1.0
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# Of TLS 1.2 only what is forward secret and authenticated (RFC 9325, section 4.2).
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Tls:
    """The context of new connections.

    Raises
    ------
    TlsUnusable : if it can't be made of what is set. Later that is told in the log, and the old one
        stays.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._files = [
            Path(name)
            for name in (settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            if name
        ]
        self._seen = self._look()
        self._look_at_s = time.monotonic() + _LOOK_EVERY_S
        self.context = self._build()

    @classmethod
    def of(cls, settings: TlsSettings) -> Self | None:
        """Return the one that settings ask for; None if HTTP is served.

        Raises
        ------
        TlsUnusable
        """
        return cls(settings) if settings.tls_cert else None

    def look(self) -> None:
        """Make a new context if a file has changed since; call it often."""
        now_s = time.monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.context = self._build()
            _log.info("certificate is read anew")
        except TlsUnusable as error:
            _log.error("certificate is not read anew, the old one stays: %s", error)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_look_of(file) for file in self._files]

    def _build(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.tls_min_version]
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key, _ask_nobody)
        except (OSError, ValueError) as error:
            raise TlsUnusable(reason=_words(error, "the certificate or its key")) from None
        if settings.tls_client_ca:
            required = settings.tls_client_auth == "required"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(settings.tls_client_ca)
            except (OSError, ValueError) as error:
                raise TlsUnusable(reason=_words(error, "the clients' authorities")) from None
        return context


def _look_of(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _ask_nobody() -> NoReturn:
    """Refuse a key with a password, which OpenSSL would ask for at the terminal."""
    raise ValueError("the key has a password")


def _words(error: Exception, what: str) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no PEM").lower().replace("_", " ")
        return f"{what} can't be used ({reason})"
    if isinstance(error, OSError):
        return f"{what} can't be read ({(error.strerror or 'unknown').lower()})"
    return str(error)
