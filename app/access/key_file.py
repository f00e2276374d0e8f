"""The file of keys: read by the service, written by ``neumo keys``.

JSON, so that a person can read it and a secrets store can carry it. It holds no key, only digests;
but who may write it may let anybody in, so the one that others may write, or read, is refused.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.access.caller import Rate, Scope
from app.access.key import LEAST_FOREIGN_LENGTH, Key, digest_of, id_of
from app.errors import KeysUnusable

FORMAT: Final = 1
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,99}$"
"""Of a key's holder: it stands in logs and tables."""
_SECRET_SCOPES: Final[frozenset[Scope]] = frozenset(("predict", "feedback", "metrics"))
_MOST_BYTES: Final = 8 * 2**20
# Where Docker, Swarm and Kubernetes mount what is meant for this container alone; theirs are 0444.
_MOUNTED_SECRETS: Final = (Path("/run/secrets"), Path("/var/run/secrets"))


class _Entry(BaseModel):
    """One key as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-z]{8}$")
    name: str = Field(pattern=NAME_PATTERN)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    rate_per_s: float | None = Field(None, gt=0, le=1e6)
    burst: int | None = Field(None, ge=1, le=1_000_000)

    @classmethod
    def of(cls, key: Key) -> "_Entry":
        rate = key.rate
        return cls(
            id=key.id,
            name=key.name,
            scopes=tuple(sorted(key.scopes)),
            sha256=key.digest.hex(),
            created=key.created,
            expires=key.expires,
            revoked=key.revoked,
            rate_per_s=rate and rate.per_s,
            burst=rate and rate.burst,
        )

    def key(self) -> Key:
        rate = None
        if self.rate_per_s is not None:
            rate = Rate(self.rate_per_s, self.burst or max(1, round(self.rate_per_s)))
        return Key(
            self.id,
            self.name,
            frozenset(self.scopes),
            bytes.fromhex(self.sha256),
            self.created,
            self.expires,
            self.revoked,
            rate,
        )


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    keys: tuple[_Entry, ...]


def read_keys(path: Path) -> list[Key]:
    """Read a file of keys.

    Raises
    ------
    KeysUnusable : if it is not there, not a file of keys, or others may read or write it
    """
    try:
        content = _Content.model_validate_json(_read_guarded(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(_name_of, first["loc"])) or "its JSON"
        raise KeysUnusable(file=str(path), reason=f"{place} is not as it should be") from None
    keys = [entry.key() for entry in content.keys]
    if len({key.id for key in keys}) < len(keys):
        raise KeysUnusable(file=str(path), reason="two keys have one id")
    return keys


def _name_of(place: str | int) -> str:
    """Return the name of a place of the file; not one that somebody put there, such as a key."""
    known = isinstance(place, int) or place in _Content.model_fields | _Entry.model_fields
    return str(place) if known else "a member"


def read_secrets(path: Path) -> list[Key]:
    """Read a file of the keys themselves, one a line, as a container's secret is mounted.

    They may do all but administer. One that ``neumo keys`` did not make has to be as hard to guess.

    Raises
    ------
    KeysUnusable : if it is not there, holds none, or others may read it
    """
    text = _read_guarded(path)
    keys = []
    for line in text.decode("ascii", errors="replace").split():
        if len(line) < LEAST_FOREIGN_LENGTH or not line.isascii():
            reason = f"a key in it is shorter than {LEAST_FOREIGN_LENGTH} characters"
            raise KeysUnusable(file=str(path), reason=reason)
        key_id, digest = id_of(line) or "", digest_of(line)
        name = f"secret-{key_id or digest.hex()[:8]}"
        keys.append(Key(key_id, name, _SECRET_SCOPES, digest, datetime.now(UTC)))
    if not keys:
        raise KeysUnusable(file=str(path), reason="it is empty")
    return keys


def change_keys(path: Path, change: Callable[[list[Key]], Iterable[Key]]) -> None:
    """Write a file of keys anew, whole or not at all; two at once wait for each other.

    Parameters
    ----------
    change : of the keys that are there; none if there is no file yet

    Raises
    ------
    KeysUnusable : if what is there can't be read, or the folder can't be written
    """
    try:
        with _locked(path.parent):
            there = path.exists()
            keys = change(read_keys(path) if there else [])
            entries = [_Entry.of(key).model_dump(mode="json", exclude_none=True) for key in keys]
            _replace(path, {"format": FORMAT, "keys": entries}, like=path if there else path.parent)
    except OSError as error:
        raise KeysUnusable(file=str(path), reason=_words(error)) from None


def _read_guarded(path: Path) -> bytes:
    try:
        # Without waiting: a pipe that nobody writes to would hold all requests.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            _check_mode(path, mode)
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise KeysUnusable(file=str(path), reason=_words(error)) from None


def _check_mode(path: Path, mode: int) -> None:
    """Refuse what others may read or write. A group may read: Kubernetes' fsGroup needs it."""
    if stat.S_ISCHR(mode):
        return  # /dev/null, which stands for a secret that nobody has made yet
    if not stat.S_ISREG(mode):
        raise KeysUnusable(file=str(path), reason="it is no file")
    mounted = any(path.is_relative_to(folder) for folder in _MOUNTED_SECRETS)
    if mode & (stat.S_IWGRP | stat.S_IWOTH) or (mode & stat.S_IROTH and not mounted):
        reason = f"others than its owner may read or write it (mode {stat.S_IMODE(mode):04o}); "
        raise KeysUnusable(file=str(path), reason=reason + "chmod 600 mends that")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: dict[str, Any], like: Path) -> None:
    """Write a file beside it and put it in its place, owned as it was: root may run this."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            owner = like.stat()
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            if like == path:
                os.fchmod(descriptor, stat.S_IMODE(owner.st_mode))
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
