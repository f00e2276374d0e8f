"""The key of the audit trail: 256 bits in a file of its own, outside the database."""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.errors import AuditKeyUnusable

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_OTHERS: Final = 0o077


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
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AuditKeyUnusable(reason=f"{path.name}: {reason}") from None
    except UnicodeDecodeError:
        text = ""
    if not _HEX.fullmatch(text):
        raise AuditKeyUnusable(reason=f"{path.name} does not hold 64 hexadecimal digits")
    return AuditKey(bytes.fromhex(text))


def make_key(path: Path) -> None:
    """Write a new key for its owner alone to read; one that is there already stays.

    Raises
    ------
    AuditKeyUnusable
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(draft, path)  # whole, or not at all
        finally:
            draft.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AuditKeyUnusable(reason=f"{path.name} can't be made: {reason}") from None


def is_open_to_others(path: Path) -> bool:
    """Whether others than a file's owner may read or write it."""
    return bool(path.stat().st_mode & _OTHERS)
