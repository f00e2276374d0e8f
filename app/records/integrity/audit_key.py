"""The key of the audit trail: 256 bits in a file of its own, outside the database."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from app.errors import AuditKeyUnusable
from app.records.integrity.secret_file import make_secret, read_secret


class AuditKey:
    """Signs what is written down, by HMAC-SHA256 (RFC 2104).

    Parameters
    ----------
    secret : 32 bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._template = hmac.new(secret, digestmod=hashlib.sha256)

    def sign(self, purpose: str, values: Mapping[str, object]) -> str:
        """Return the MAC of some values, 64 hexadecimal digits.

        Parameters
        ----------
        purpose : what they are, so that one kind of signature can't stand for another
        values : of JSON's types; None counts as absent, so a column added later changes nothing
        """
        return self.sign_text(purpose, as_text(values))

    def sign_text(self, purpose: str, text: str) -> str:
        """Return the MAC of values that were made text by `as_text`."""
        signing = self._template.copy()
        signing.update(f"{purpose}\n{text}".encode())
        return signing.hexdigest()


def as_text(values: Mapping[str, object]) -> str:
    """Return values as they are signed: JSON in one line, sorted, without those that are None."""
    told = {name: value for name, value in values.items() if value is not None}
    return json.dumps(told, sort_keys=True)


def read_key(path: Path) -> AuditKey:
    """Read a key's file.

    Raises
    ------
    AuditKeyUnusable
    """
    return AuditKey(read_secret(path, AuditKeyUnusable))


def make_key(path: Path) -> None:
    """Write a new key for its owner alone to read; one that is there already stays.

    Raises
    ------
    AuditKeyUnusable
    """
    make_secret(path, AuditKeyUnusable)
