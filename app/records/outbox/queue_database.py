"""The queue's database: SQLite beside the sealed films, used by several processes at once."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.errors import (
    ExchangeFolderUnusable,
    ExchangeKeyUnusable,
    QueueAway,
    QueueFull,
)
from app.records.integrity.seal import Seal
from app.records.store.database import AWAY, Database

VERSION: Final = 1
"""Of the tables below, as SQLite's `user_version`: another one is refused."""

NAME: Final = "exchange.sqlite"
_KEY_CHECK: Final = "the key of this queue"
_FULL_DISK: Final = frozenset((errno.ENOSPC, errno.EDQUOT))

_METADATA: Final = sa.MetaData()

QUEUE: Final = sa.Table("queue", _METADATA, sa.Column("key_digest", sa.String(64), nullable=False))
"""One row: which key all is sealed by."""

FILMS: Final = sa.Table(
    "film",
    _METADATA,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("sop_digest", sa.String(64), nullable=False, index=True),
    sa.Column("names", sa.LargeBinary, nullable=False),  # sealed: SOP and study UID
    sa.Column("way", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("code", sa.Text),
    sa.Column("model", sa.String(64)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("received_s", sa.Float(53), nullable=False, index=True),
    sa.Column("finished_s", sa.Float(53)),
    sa.Column("leased_until_s", sa.Float(53), nullable=False),
    sa.Column("owner", sa.String(26)),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("reading", sa.LargeBinary),  # sealed
    sa.Index("ix_film_state", "state", "id"),
    sa.Index("ix_film_bytes", "bytes"),
)
"""A row for each film. Times are seconds since the epoch; ids are ULIDs, so sorted by time."""

RESULTS: Final = sa.Table(
    "result",
    _METADATA,
    sa.Column("film_id", sa.String(26), sa.ForeignKey("film.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("uid", sa.LargeBinary, nullable=False),  # sealed
    sa.Column("data", sa.LargeBinary, nullable=False),  # sealed
)

DELIVERIES: Final = sa.Table(
    "delivery",
    _METADATA,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("film_id", sa.String(26), sa.ForeignKey("film.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("code", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("since_s", sa.Float(53), nullable=False),
    sa.Column("due_s", sa.Float(53), nullable=False),
    sa.Column("changed_s", sa.Float(53), nullable=False),
    sa.Column("leased_until_s", sa.Float(53), nullable=False),
    sa.Column("owner", sa.String(26)),
    sa.Index("ix_delivery_due", "partner", "state", "due_s"),
)


class QueueDatabase:
    """Transactions on the queue; what goes wrong there is `QueueAway` or `QueueFull`.

    Parameters
    ----------
    folder : that it lies in
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._database = Database(sa.URL.create("sqlite", database=str(self.path)))
        sa.event.listen(self._database.engine, "connect", _overwrite_what_is_dropped)

    def prepare(self, seal: Seal) -> None:
        """Make the tables if they are not there, and see that they were sealed by this key.

        Raises
        ------
        ExchangeFolderUnusable, ExchangeKeyUnusable
        """
        digest = seal.digest(_KEY_CHECK)
        try:
            self._database.make_private()
            with self._database.writing() as connection:  # of several processes one makes them
                version = connection.exec_driver_sql("PRAGMA user_version").scalar()
                if version == 0:
                    _METADATA.create_all(connection)
                    connection.execute(sa.insert(QUEUE).values(key_digest=digest))
                    connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
                elif version != VERSION:
                    raise ExchangeFolderUnusable(reason="another version of Neumo made its queue")
                elif connection.execute(sa.select(QUEUE.c.key_digest)).scalar() != digest:
                    raise ExchangeKeyUnusable(reason="the queue was encrypted by another key")
        except AWAY as error:
            raise ExchangeFolderUnusable(reason=_words(error)) from None

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that changes something: all of it, or nothing.

        Raises
        ------
        QueueFull, QueueAway
        """
        with answering(), self._database.writing() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of everything.

        Raises
        ------
        QueueFull, QueueAway
        """
        with answering(), self._database.reading() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


def sum_bytes(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> int:
    """Return how many bytes are kept of the films that are meant."""
    total = sa.select(sa.func.sum(FILMS.c.bytes)).where(chosen)
    return int(connection.execute(total).scalar() or 0)


def has_arrived() -> sa.ColumnElement[bool]:
    """Return the condition of films that were read, and whose results have all been delivered."""
    waits = sa.exists().where(DELIVERIES.c.film_id == FILMS.c.id, DELIVERIES.c.state != "delivered")
    return (FILMS.c.state == "read") & ~waits


def time_of(seconds: float) -> datetime:
    """Return a time of the tables, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a disk or a database raises into `QueueFull` or `QueueAway`.

    Raises
    ------
    QueueFull, QueueAway
    """
    try:
        yield
    except AWAY as error:
        raise (QueueFull if _is_full(error) else QueueAway) from None


def _is_full(error: Exception) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError):
        return cause.errno in _FULL_DISK
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__
    return type(error).__name__


def _overwrite_what_is_dropped(connection: Any, _: object) -> None:  # noqa: ANN401 - DBAPI's
    connection.execute("PRAGMA secure_delete=ON").close()
