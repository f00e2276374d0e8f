"""An API key: how one is made, what is kept of it, and how one that is shown is known.

``neumo_`` + id (8 characters) + ``_`` + secret (43) + checksum (6): so that people and secret
scanners know one when they see it, and a mistyped one is told from a wrong one without a look-up.

Kept is the SHA-256 of the whole. A password needs a slow hash, because people choose passwords that
can be guessed. Of 2^256 secrets none can be guessed however fast the hash is, and a slow one would
be asked for at every request.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from app.access.caller import Caller, Rate, Scope

_DIGITS: Final = string.digits + string.ascii_letters
_ID_DIGITS: Final = string.digits + string.ascii_lowercase
_ID_LENGTH: Final = 8
_SECRET_BITS: Final = 256
_SECRET_LENGTH: Final = 43  # 62^43 > 2^256
_CHECK_LENGTH: Final = 6  # 62^6 > 2^32
_SHAPE: Final = re.compile(
    rf"neumo_([0-9a-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECK_LENGTH}}}", re.ASCII
)
LEAST_FOREIGN_LENGTH: Final = 32
"""Of a secret that something else than `neumo keys` made: 128 bits in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: not the key.

    Parameters
    ----------
    id : public; stands in the key; empty for one that something else than `create` made
    name : who holds it; goes into the log and the audit trail
    digest : SHA-256 of the key
    created, expires, revoked : with their time zone
    rate : of this key, over that of the settings
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    rate: Rate | None = None

    @classmethod
    def create(
        cls,
        name: str,
        scopes: frozenset[Scope],
        created: datetime,
        expires: datetime | None = None,
        rate: Rate | None = None,
    ) -> tuple[Self, str]:
        """Make a key; return what is kept of it, and the key, which nobody sees again."""
        key_id = "".join(secrets.choice(_ID_DIGITS) for _ in range(_ID_LENGTH))
        number = secrets.randbits(_SECRET_BITS)
        secret = f"neumo_{key_id}_{_in_base_62(number, _SECRET_LENGTH)}"
        secret += _checksum(secret)
        return cls(key_id, name, scopes, digest_of(secret), created, expires, rate=rate), secret

    def matches(self, digest: bytes) -> bool:
        """Compare digests in a time that does not tell where they differ."""
        return hmac.compare_digest(self.digest, digest)

    def revoke(self, now: datetime) -> "Key":
        """Return it revoked."""
        return replace(self, revoked=now)

    def caller(self, rate: Rate | None) -> Caller:
        """Return who holds it.

        Parameters
        ----------
        rate : where the key has none of its own
        """
        return Caller(self.name, self.scopes, self.id or self.name, self.rate or rate)


def digest_of(secret: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode()).digest()


def id_of(secret: str) -> str | None:
    """Return a key's id; None of what no `Key.create` has made."""
    shape = _SHAPE.fullmatch(secret)
    if shape is None or _checksum(secret[:-_CHECK_LENGTH]) != secret[-_CHECK_LENGTH:]:
        return None
    return shape[1]


def _checksum(text: str) -> str:
    return _in_base_62(zlib.crc32(text.encode()), _CHECK_LENGTH)


def _in_base_62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
