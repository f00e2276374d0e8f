"""Delivery: from a spool into the database, with the seals that are due; what is kept long enough.

Nothing is lost by doing it twice: a row that the database has is not written again.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from app.records.integrity.audit_key import AuditKey
from app.records.integrity.chain import Head, read_head
from app.records.store.database import HEADS, LEDGER, ROWS, Database
from app.records.store.ledger import (
    Mark,
    append_entry,
    append_seal,
    forget_head,
    keep_head,
    keep_mark,
    kept_heads,
)
from app.records.store.spool import SUFFIX, Spool

_log = logging.getLogger("neumo.records")

MOST_ROWS: Final = 500
"""Of one transaction."""

_MOST_DROPS: Final = 50


@dataclass(slots=True)
class Delivery:
    """Brings rows of one host into the database.

    Parameters
    ----------
    folder : of spools and heads
    """

    database: Database
    key: AuditKey
    folder: Path

    def deliver(self, spool: Spool, head: Head) -> tuple[Head, list[str]]:
        """Write a spool's next rows; return where the chain is then, and the rows' kinds.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError, OSError
        """
        rows, end = spool.read(MOST_ROWS)
        if not rows:
            return head, []
        begun, mark = head, None
        with self.database.writing() as connection:
            new = [row for row in rows if row["seq"] > head.seq]
            for row in new:
                if head.segment and row["segment"] != head.segment and head.unsealed:
                    mark = self._seal(connection, head)
                head = head.after(row)
            if new:
                self.database.insert_new(connection, new)
                self._put_head(connection, head, is_new=not begun.seq)
        spool.delivered(end)
        keep_head(self.folder, head, self.key)
        if mark is not None:
            keep_mark(self.folder, mark, self.key)
        return head, [row["kind"] for row in new]

    def seal_past(self, head: Head) -> Head:
        """Seal the chain's segment if its day is over, all of it being delivered.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError, OSError
        """
        if not head.segment or not head.unsealed or head.segment >= _day():
            return head
        with self.database.writing() as connection:
            mark = self._seal(connection, head)
            head = head.sealed()
            self._put_head(connection, head)
        keep_head(self.folder, head, self.key)
        keep_mark(self.folder, mark, self.key)
        return head

    def end(self, spool: Spool, head: Head) -> None:
        """Seal a chain for good, all of it being delivered, and delete its spool.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError, OSError
        """
        ended = sa.select(LEDGER.c.number).where(
            LEDGER.c.chain == head.chain, LEDGER.c.kind == "end"
        )
        mark = None
        with self.database.writing() as connection:
            if head.seq and connection.execute(ended).first() is None:
                mark = append_seal(self.database, connection, self.key, head, "end")
            connection.execute(sa.delete(HEADS).where(HEADS.c.chain == head.chain))
        if mark is not None:
            keep_mark(self.folder, mark, self.key)
            _tell(mark, head)
        forget_head(self.folder, head.chain)
        spool.remove()

    def adopt(self) -> tuple[int, list[str]]:
        """Deliver and end the chains of processes that were killed.

        Returns
        -------
        How many there were, and the kinds of their rows that were new to the database.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError, OSError
        """
        adopted, kinds = 0, []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            spool = Spool.adopt(path)
            if spool is None:
                continue
            try:
                head = self._find_head(spool.chain)
                while True:
                    before = spool.offset
                    head, new = self.deliver(spool, head)
                    kinds += new
                    if spool.offset == before:
                        break
                self.end(spool, head)
            finally:
                spool.close()
            adopted += 1
        return adopted, kinds

    def drop_old(self, days: int) -> int:
        """Drop sealed segments older than `days`; return how many.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError, OSError
        """
        with self.database.reading() as connection:
            if not self._due(connection, days):
                return 0
        mark = None
        with self.database.writing() as connection:
            self.database.lock_ledger(connection)
            due = self._due(connection, days)
            for seal in due:
                columns = {name: seal[name] for name in ("chain", "segment", "first_seq")}
                columns |= {name: seal[name] for name in ("last_seq", "last_mac")}
                mark = append_entry(self.database, connection, self.key, "drop", **columns)
                connection.execute(
                    sa.delete(ROWS).where(
                        ROWS.c.chain == seal["chain"],
                        ROWS.c.seq.between(seal["first_seq"], seal["last_seq"]),
                    )
                )
        if mark is not None:
            keep_mark(self.folder, mark, self.key)
        return len(due)

    def _due(self, connection: sa.Connection, days: int) -> list[Mapping[str, Any]]:
        drops = LEDGER.alias()
        is_dropped = sa.exists().where(
            drops.c.kind == "drop",
            drops.c.chain == LEDGER.c.chain,
            drops.c.first_seq == LEDGER.c.first_seq,
        )
        due = (
            sa.select(LEDGER)
            .where(
                LEDGER.c.kind.in_(("seal", "end")),
                LEDGER.c.segment < _day(-days),
                LEDGER.c.segment != "",
                ~is_dropped,
            )
            .order_by(LEDGER.c.number)
            .limit(_MOST_DROPS)
        )
        return [dict(each) for each in connection.execute(due).mappings()]

    def _seal(self, connection: sa.Connection, head: Head) -> Mark:
        mark = append_seal(self.database, connection, self.key, head, "seal")
        _tell(mark, head)
        return mark

    def _put_head(self, connection: sa.Connection, head: Head, *, is_new: bool = False) -> None:
        values = head.signed(self.key)
        changed = 0
        if not is_new:
            change = sa.update(HEADS).where(HEADS.c.chain == head.chain).values(values)
            changed = connection.execute(change).rowcount
        if not changed:
            connection.execute(sa.delete(HEADS).where(HEADS.c.chain == head.chain))
            connection.execute(sa.insert(HEADS), values)

    def _find_head(self, chain: str) -> Head:
        """Return where a chain has come to, by the database or the folder, whichever is further."""
        with self.database.reading() as connection:
            found = sa.select(HEADS).where(HEADS.c.chain == chain)
            row = connection.execute(found).mappings().first()
        heads = [
            None if row is None else read_head(dict(row), self.key),
            kept_heads(self.folder, self.key).get(chain),
        ]
        return max((head for head in heads if head), key=lambda head: head.seq, default=Head(chain))


def _tell(mark: Mark, head: Head) -> None:
    """Log a seal: whoever collects logs then knows, outside this host, how far the trail was."""
    members = {
        "number": mark.number, "mac": mark.mac, "chain": head.chain, "segment": head.segment,
        "last_seq": head.seq,
    }  # fmt: skip
    _log.info("sealed", extra={"members": members})


def _day(shift_days: int = 0) -> str:
    now = datetime.fromtimestamp(time.time(), UTC)
    return (now + timedelta(days=shift_days)).date().isoformat()
