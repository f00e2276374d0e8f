"""The seal of the queue: AES-256-GCM over all that names a patient (NIST SP 800-38D).

What is sealed is bound to its place: it opens under the name that it was sealed under alone, so a
row's content can't be put into another row. UIDs are looked up by their HMAC-SHA256 (RFC 2104).
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import ExchangeKeyUnusable, FilmLost
from app.records.integrity.secret_file import make_secret, read_secret

_NONCE_BYTES: Final = 12


class Seal:
    """Seals and opens; each purpose has a key of its own, derived from one secret.

    Parameters
    ----------
    secret : 32 bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(_derive(secret, b"neumo exchange: content"))
        self._digest_key = _derive(secret, b"neumo exchange: look-up")

    def close(self, place: str, content: bytes) -> bytes:
        """Return the content sealed, with its nonce in front.

        Parameters
        ----------
        place : what it is of, such as ``film:ID``
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what `close` sealed.

        Raises
        ------
        FilmLost
            If it was changed, or was sealed in another place or by another key.
        """
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, place.encode())
        except (InvalidTag, ValueError):
            raise FilmLost from None

    def digest(self, value: str) -> str:
        """Return what a value is looked up by, which does not show it: 64 hexadecimal digits."""
        return hmac.new(self._digest_key, value.encode(), hashlib.sha256).hexdigest()


def open_seal(path: Path, *, is_begun: bool) -> Seal:
    """Return the seal whose secret is in a file; made if nothing was sealed yet.

    Parameters
    ----------
    is_begun : whether something was sealed already, so that a new key would open nothing

    Raises
    ------
    ExchangeKeyUnusable
    """
    if not path.exists():
        if is_begun:
            reason = f"{path.name} is not there, and the queue was encrypted by it"
            raise ExchangeKeyUnusable(reason=reason)
        make_secret(path, ExchangeKeyUnusable)
    return Seal(read_secret(path, ExchangeKeyUnusable))


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """Return a key of 256 bits for one purpose (NIST SP 800-108, HMAC, one block)."""
    return hmac.new(secret, purpose, hashlib.sha256).digest()
