"""The keys that are known now: re-read from their files when these change.

Each process holds one. A file is looked at twice a second at the most, so a key that is revoked
is refused everywhere within a second, without a restart.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.access.caller import Caller, Rate
from app.access.key import Key, digest_of, id_of
from app.access.key_file import read_keys, read_secrets
from app.errors import KeysUnusable, Unauthenticated

_log = logging.getLogger("neumo.access")

_LOOK_EVERY_S: Final = 0.5
ReadKeys = Callable[[Path], list[Key]]


@dataclass(slots=True)
class _Source:
    """A file, what was read of it, and how it looked then."""

    path: Path
    read: ReadKeys
    keys: list[Key]
    seen: object


class Keyring:
    """Knows callers by their keys.

    Parameters
    ----------
    keys_file, secrets_file : see `read_keys` and `read_secrets`; either may be missing
    rate : of keys that have none of their own

    Raises
    ------
    KeysUnusable : if a file can't be read. Later such a file is told in the log, and the keys that
        were known stay: a secrets store that is just writing must not lock everybody out.
    """

    def __init__(
        self, keys_file: Path | None, secrets_file: Path | None, rate: Rate | None = None
    ) -> None:
        files = ((keys_file, read_keys), (secrets_file, read_secrets))
        self._sources = [_open(path, read) for path, read in files if path is not None]
        self._rate = rate
        self._by_id: dict[str, Key] = {}
        self._foreign: list[Key] = []
        self._look_at_s = time.monotonic() + _LOOK_EVERY_S
        self._index()

    def __len__(self) -> int:
        """Return how many keys let somebody in."""
        now = datetime.now(UTC)
        keys = [key for source in self._sources for key in source.keys]
        return sum(
            key.revoked is None and (key.expires is None or key.expires > now) for key in keys
        )

    def identify(self, secret: str) -> Caller:
        """Return who holds a key.

        Raises
        ------
        Unauthenticated : by the fact `reason`: unknown, revoked, expired
        """
        self._look()
        key_id = id_of(secret)
        key = None
        # A digest takes a third of a microsecond; no time of it tells anything of another key.
        digest = digest_of(secret)
        if key_id is not None:
            key = self._by_id.get(key_id)
        else:
            for foreign in self._foreign:
                if foreign.matches(digest):
                    key = foreign
        if key is None or not key.matches(digest):
            raise Unauthenticated(reason="unknown")
        if key.revoked is not None:
            raise Unauthenticated(reason="revoked")
        if key.expires is not None and key.expires <= datetime.now(UTC):
            raise Unauthenticated(reason="expired")
        return key.caller(self._rate)

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        changed = False
        for source in self._sources:
            seen = _look_of(source.path)
            if seen == source.seen:
                continue
            source.seen = seen
            try:
                source.keys = source.read(source.path)
                changed = True
            except KeysUnusable as error:
                _log.error("keys are not read anew, the old ones stay: %s", error)
        if changed:
            self._index()
            _log.info("keys are read anew", extra={"members": {"active": len(self)}})

    def _index(self) -> None:
        keys = [key for source in self._sources for key in source.keys]
        self._by_id = {key.id: key for key in keys if key.id}
        self._foreign = [key for key in keys if not key.id]


def _open(path: Path, read: ReadKeys) -> _Source:
    seen = _look_of(path)  # first: a change while it is read is seen later
    return _Source(path, read, read(path), seen)


def _look_of(path: Path) -> object:
    """Return what changes when a file does; links are followed, as Kubernetes swaps them."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode
