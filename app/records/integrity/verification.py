"""Verification: whether the trail is whole, and which rows of it are not.

What is looked for: rows that were changed, removed, inserted, put in another's place, or cut off at
the end of a chain; seals likewise; and what the audit folder, outside the database, says was there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from app.records.integrity.audit_key import AuditKey
from app.records.integrity.chain import ROW, Head, genesis, read_head
from app.records.store.database import HEADS, LEDGER, ROWS, Database
from app.records.store.ledger import (
    ENTRY,
    Mark,
    has_mark,
    is_signed,
    kept_heads,
    kept_mark,
    ledger_genesis,
)

_BATCH: Final = 1000

What = Literal["changed", "missing", "inserted", "unlinked", "forgotten"]
"""Of rows or seals. changed: its MAC is not that of its content; so are one that was made up, and
one that was put in another's place. inserted: it stands where a seal says that there is nothing.
unlinked: the row before it is another than it says. forgotten: what should hold it is gone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Parameters
    ----------
    where : chain and row, or number in the ledger
    """

    what: What
    where: str
    why: str


@dataclass(slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    rows: int = 0
    chains: int = 0
    seals: int = 0
    dropped: int = 0
    open_chains: int = 0
    last: Mark | None = None
    findings: list[Finding] = field(default_factory=list)

    def find(self, what: What, where: str, why: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(what, where, why))


@dataclass(slots=True)
class _Seals:
    """What the ledger says of one chain: its seals by their first row, and those dropped."""

    sealed: list[Mapping[str, Any]] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)

    @property
    def last(self) -> int:
        """The last row that is sealed."""
        return max((seal["last_seq"] for seal in self.sealed), default=0)

    @property
    def end(self) -> int | None:
        """The last row of a chain that has ended."""
        return next((seal["last_seq"] for seal in self.sealed if seal["kind"] == "end"), None)

    @property
    def gone(self) -> list[range]:
        """The rows that were dropped because they were old."""
        return [
            range(seal["first_seq"], seal["last_seq"] + 1)
            for seal in self.sealed
            if seal["first_seq"] in self.dropped
        ]


def verify(
    database: Database, key: AuditKey, folder: Path, expected: Mark | None = None
) -> Verdict:
    """Look at every row and every seal.

    Parameters
    ----------
    folder : the audit folder of this host, whose heads are compared
    expected : an entry of the ledger that somebody kept elsewhere

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not answer.
    """
    verdict = Verdict()
    # Before the database: what is kept here is never ahead of it.
    kept, mark, had_mark = kept_heads(folder, key), kept_mark(folder, key), has_mark(folder)
    with database.reading() as connection:
        seals = _verify_ledger(connection, key, verdict)
        _verify_marks(connection, [each for each in (mark, expected) if each], verdict)
        if had_mark and mark is None:
            verdict.find("changed", "the folder's ledger.last", "its signature is wrong")
        heads = _verify_heads(connection, key, verdict)
        for chain, head in kept.items():
            if head is None:
                verdict.find("changed", f"the folder's head of {chain}", "its signature is wrong")
            elif head.seq > heads.get(chain, Head(chain)).seq:
                heads[chain] = head
        told = set(connection.execute(sa.select(ROWS.c.chain).distinct()).scalars())
        for chain in sorted(told | seals.keys() | heads.keys()):
            verdict.chains += 1
            ends = seals.get(chain, _Seals())
            verdict.open_chains += ends.end is None
            _verify_chain(connection, key, verdict, chain, ends, heads.get(chain))
    return verdict


def _verify_ledger(connection: sa.Connection, key: AuditKey, verdict: Verdict) -> dict[str, _Seals]:
    seals: dict[str, _Seals] = {}
    previous, number = ledger_genesis(key), 0
    for row in connection.execute(sa.select(LEDGER).order_by(LEDGER.c.number)).mappings():
        entry = dict(row)
        where = f"ledger {entry['number']}"
        if entry["number"] != number + 1:
            verdict.find("missing", _span("ledger", number + 1, entry["number"] - 1), "a gap")
        elif entry["previous"] != previous:
            verdict.find("unlinked", where, "the entry before it is another")
        number, previous = entry["number"], entry["mac"]
        if not is_signed(dict(entry), ENTRY, key):
            verdict.find("changed", where, "its MAC is not that of its content")
            continue
        verdict.last = Mark(number, previous)
        if entry["chain"] is not None:
            of_chain = seals.setdefault(entry["chain"], _Seals())
            if entry["kind"] == "drop":
                of_chain.dropped.add(entry["first_seq"])
                verdict.dropped += 1
            else:
                of_chain.sealed.append(entry)
                verdict.seals += 1
    return seals


def _verify_marks(connection: sa.Connection, marks: list[Mark], verdict: Verdict) -> None:
    for mark in marks:
        found = sa.select(LEDGER.c.mac).where(LEDGER.c.number == mark.number)
        mac = connection.execute(found).scalar()
        if mac is None:
            verdict.find("missing", f"ledger {mark.number}", "it was there when it was kept")
        elif mac != mark.mac:
            verdict.find("changed", f"ledger {mark.number}", "it is another than the one kept")


def _verify_heads(connection: sa.Connection, key: AuditKey, verdict: Verdict) -> dict[str, Head]:
    heads = {}
    for row in connection.execute(sa.select(HEADS)).mappings():
        head = read_head(dict(row), key)
        if head is None:
            verdict.find(
                "changed", f"the database's head of {row['chain']}", "its signature is wrong"
            )
        else:
            heads[head.chain] = head
    return heads


def _verify_chain(
    connection: sa.Connection,
    key: AuditKey,
    verdict: Verdict,
    chain: str,
    seals: _Seals,
    head: Head | None,
) -> None:
    gone, sealed_macs = seals.gone, {each["last_seq"]: each["last_mac"] for each in seals.sealed}
    seq, previous = 0, genesis(chain, key)
    for row in _rows(connection, chain):
        verdict.rows += 1
        if row["seq"] != seq + 1:
            for first, last in _gaps(seq + 1, row["seq"] - 1, gone):
                verdict.find("missing", _span(chain, first, last), "a gap before the next row")
            previous = sealed_macs.get(row["seq"] - 1, row["previous"])
        seq, where = row["seq"], f"{chain} row {row['seq']}"
        fault = _fault(row, key, previous, sealed_macs.get(seq))
        if any(seq in rows for rows in gone):
            fault = ("inserted", "its segment was dropped")
        if fault is not None:
            verdict.find(fault[0], where, fault[1])
        previous = row["mac"]
    if seals.end is not None and seq > seals.end:
        verdict.find("inserted", _span(chain, seals.end + 1, seq), "the chain had ended")
    for first, last in _gaps(seq + 1, max(seals.last, head.seq if head else 0), gone):
        verdict.find("missing", _span(chain, first, last), "cut off: a head or a seal tells of it")
    if head is None and seals.end is None:
        verdict.find("forgotten", f"the head of {chain}", "a chain that has not ended has one")


def _fault(
    row: dict[str, Any], key: AuditKey, previous: str, sealed_mac: str | None
) -> tuple[What, str] | None:
    if not is_signed(dict(row), ROW, key):
        return "changed", "its MAC is not that of its content"
    if row["previous"] != previous:
        return "unlinked", "the row before it is another"
    if sealed_mac not in (None, row["mac"]):
        return "changed", "another was sealed"
    return None


def _rows(connection: sa.Connection, chain: str) -> Iterator[dict[str, Any]]:
    ordered = sa.select(ROWS).where(ROWS.c.chain == chain).order_by(ROWS.c.seq)
    found = connection.execution_options(yield_per=_BATCH).execute(ordered)
    for row in found.mappings():
        yield dict(row)


def _gaps(first: int, last: int, gone: list[range]) -> Iterator[tuple[int, int]]:
    """Give what of the rows from `first` to `last` is missing, but for what was dropped."""
    for rows in sorted(gone, key=lambda each: each.start):
        if rows.start > last or rows.stop <= first:
            continue
        if first < rows.start:
            yield first, rows.start - 1
        first = rows.stop
    if first <= last:
        yield first, last


def _span(name: str, first: int, last: int) -> str:
    word = name if name == "ledger" else f"{name} row"
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"
