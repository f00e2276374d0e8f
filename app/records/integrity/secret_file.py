"""A secret of 256 bits in a file of its own, for its owner alone to read."""

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from app.errors import NeumoError

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_OTHERS: Final = 0o077


def read_secret(path: Path, unusable: type[NeumoError]) -> bytes:
    """Return the 32 bytes that a file holds as 64 hexadecimal digits.

    Parameters
    ----------
    unusable : what is raised if there are none, with the fact `reason`
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise unusable(reason=f"{path.name}: {reason}") from None
    except UnicodeDecodeError:
        text = ""
    if not _HEX.fullmatch(text):
        raise unusable(reason=f"{path.name} does not hold 64 hexadecimal digits")
    return bytes.fromhex(text)


def make_secret(path: Path, unusable: type[NeumoError]) -> None:
    """Write a new secret for its owner alone to read; one that is there already stays.

    Parameters
    ----------
    unusable : what is raised if it can't be written, with the fact `reason`
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
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
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # or what is sealed could outlive its key
        finally:
            os.close(folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise unusable(reason=f"{path.name} can't be made: {reason}") from None


def is_open_to_others(path: Path) -> bool:
    """Whether others than a file's owner may read or write it."""
    return bool(path.stat().st_mode & _OTHERS)
