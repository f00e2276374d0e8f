"""The ledger: the seals of all chains, each signed over the one before, in the database.

And what is kept of it in the audit folder, outside the database: where this host's chains have
come to, and the last seal it saw. Without that a cut-off end could not be told from no more rows.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from app.errors import AuditKeyUnusable
from app.records.integrity.audit_key import AuditKey
from app.records.integrity.chain import Head, format_time, read_head
from app.records.store.database import LEDGER, Database

Entry = dict[str, Any]
"""A row of the ledger, by column; what is None may be absent."""

ENTRY: Final = "ledger"
"""What is signed by this purpose is an entry of the ledger."""

HEAD_SUFFIX: Final = ".head"
_LAST: Final = "ledger.last"
_LOCK: Final = "ledger.lock"
BEGINNING: Final = "begin"


@dataclass(frozen=True, slots=True)
class Mark:
    """The number and the MAC of an entry of the ledger: what somebody elsewhere may keep of it."""

    number: int
    mac: str


def ledger_genesis(key: AuditKey) -> str:
    """Return what the first entry holds instead of the MAC before it."""
    return key.sign("ledger begins", {})


def append_entry(
    database: Database,
    connection: sa.Connection,
    key: AuditKey,
    kind: Literal["begin", "seal", "end", "drop"],
    **columns: object,
) -> Mark:
    """Append an entry, within the transaction of `connection`."""
    database.lock_ledger(connection)
    newest = sa.select(LEDGER.c.number, LEDGER.c.mac).order_by(LEDGER.c.number.desc()).limit(1)
    last = connection.execute(newest).first()
    entry: Entry = {
        "number": 1 if last is None else last.number + 1,
        "kind": kind,
        "time": format_time(time.time_ns()),
        "previous": ledger_genesis(key) if last is None else last.mac,
        **columns,
    }
    entry["mac"] = key.sign(ENTRY, entry)
    connection.execute(sa.insert(LEDGER), entry)
    return Mark(entry["number"], entry["mac"])


def append_seal(
    database: Database,
    connection: sa.Connection,
    key: AuditKey,
    head: Head,
    kind: Literal["seal", "end"],
) -> Mark:
    """Seal a chain's segment as far as it has come."""
    return append_entry(
        database,
        connection,
        key,
        kind,
        chain=head.chain,
        segment=head.segment,
        first_seq=head.first_seq,
        last_seq=head.seq,
        last_mac=head.mac,
    )


def begin_ledger(database: Database, key: AuditKey) -> None:
    """Write the ledger's first entry, or see that it was written with this key.

    Raises
    ------
    AuditKeyUnusable
    sqlalchemy.exc.SQLAlchemyError
    """
    first = sa.select(LEDGER).where(LEDGER.c.number == 1)
    with database.reading() as connection:
        found = connection.execute(first).mappings().first()
    if found is None:
        with database.writing() as connection:
            database.lock_ledger(connection)
            found = connection.execute(first).mappings().first()
            if found is None:
                append_entry(database, connection, key, BEGINNING)
                return
    if not is_signed(dict(found), ENTRY, key):
        raise AuditKeyUnusable(reason="it is another than the one the database was begun with")


def is_signed(columns: dict[str, Any], purpose: str, key: AuditKey) -> bool:
    """Whether the MAC of a row or an entry is that of its other columns."""
    mac = columns.pop("mac")
    return bool(key.sign(purpose, columns) == mac)


def keep_head(folder: Path, head: Head, key: AuditKey) -> None:
    """Keep where a chain has come to.

    Raises
    ------
    OSError
    """
    _replace(folder / f"{head.chain}{HEAD_SUFFIX}", head.signed(key))


def forget_head(folder: Path, chain: str) -> None:
    """Keep no longer where a chain has come to: it has ended, and its seal says so."""
    (folder / f"{chain}{HEAD_SUFFIX}").unlink(missing_ok=True)


def kept_heads(folder: Path, key: AuditKey) -> dict[str, Head | None]:
    """Return where this host's chains have come to; None if the file was changed."""
    heads = {}
    for path in sorted(folder.glob(f"*{HEAD_SUFFIX}")):
        values = _read(path)
        head = None if values is None else read_head(values, key)
        heads[path.stem] = head if head is None or head.chain == path.stem else None
    return heads


def keep_mark(folder: Path, mark: Mark, key: AuditKey) -> None:
    """Keep the newest entry of the ledger that was seen here.

    Raises
    ------
    OSError
    """
    with _locked(folder):
        kept = kept_mark(folder, key)
        if kept is None or kept.number < mark.number:
            values: dict[str, Any] = {"number": mark.number, "mac": mark.mac}
            _replace(folder / _LAST, values | {"tag": key.sign("mark", values)})


def kept_mark(folder: Path, key: AuditKey) -> Mark | None:
    """Return the newest entry that was seen here; None if there is none, or it was changed."""
    values = _read(folder / _LAST)
    if values is None:
        return None
    tag = values.pop("tag", None)
    return Mark(**values) if tag == key.sign("mark", values) else None


def has_mark(folder: Path) -> bool:
    """Whether an entry of the ledger was kept here, changed or not."""
    return (folder / _LAST).exists()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _replace(path: Path, values: dict[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
    draft.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
