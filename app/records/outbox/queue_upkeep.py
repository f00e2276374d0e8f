"""What an operator and the clock do with the queue. It tells ids, states and times, no patient."""

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from app.errors import FilmLost
from app.records.outbox import delivery_queue, film_queue
from app.records.outbox.lease import all_holders, is_dead
from app.records.outbox.queue_database import (
    DELIVERIES,
    FILMS,
    RESULTS,
    QueueDatabase,
    has_arrived,
    sum_bytes,
    time_of,
)
from app.records.outbox.queue_entries import (
    DeliveryRow,
    DeliveryState,
    FilmRow,
    FilmState,
    Kind,
    QueueCounts,
)
from app.records.outbox.sealed_films import SealedFilms

_log = logging.getLogger("neumo.exchange")

_NOT_DONE: Final = ("waiting", "failed")


class QueueUpkeep:
    """The part of `app.records.outbox.outbox.Outbox` that neither reads films nor delivers.

    Parameters
    ----------
    holders : folder of those that take leases
    kept_for : how long a film and what is of it are kept
    """

    def __init__(
        self,
        database: QueueDatabase,
        sealed: SealedFilms,
        holders: Path,
        kept_for: timedelta,
        clock: Callable[[], float],
    ) -> None:
        self.database, self.sealed, self.holders = database, sealed, holders
        self.clock, self.kept_s = clock, kept_for.total_seconds()

    def films(self, state: FilmState | None = None) -> list[FilmRow]:
        """Return the films, oldest first; of one state, if one is named."""
        with self.database.reading() as connection:
            return _list_films(connection, state)

    def deliveries(self, state: DeliveryState | None = None) -> list[DeliveryRow]:
        """Return the deliveries, oldest first; of one state, if one is named."""
        with self.database.reading() as connection:
            return _list_deliveries(connection, state)

    def counts(self) -> QueueCounts:
        """Return how much lies in the queue."""
        with self.database.reading() as connection:
            return _count(connection, self.clock())

    def retry(self, entry_id: str) -> int:
        """Let a film that failed be read again, or results be sent again; say how many.

        Parameters
        ----------
        entry_id : of a film or of a delivery; all deliveries of a film that was read
        """
        now_s = self.clock()
        failed = (FILMS.c.id == entry_id) & (FILMS.c.state == "failed")
        waiting = {"state": "waiting", "attempts": 0, "code": None, "finished_s": None}
        chosen = (DELIVERIES.c.id == entry_id) | (DELIVERIES.c.film_id == entry_id)
        kept = sa.exists().where(RESULTS.c.film_id == DELIVERIES.c.film_id)
        with self.database.writing() as connection:
            films = connection.execute(sa.update(FILMS).where(failed).values(**waiting)).rowcount
            return films + delivery_queue.send_again(connection, chosen & kept, now_s)

    def move(self, partner: str, to: str, kinds: Collection[Kind]) -> int:
        """Send to another partner what one has not taken; say how many results.

        Parameters
        ----------
        kinds : that the other one takes
        """
        with self.database.writing() as connection:
            return delivery_queue.move(connection, partner, to, kinds, self.clock())

    def drop(self, entry_id: str) -> int:
        """Drop a film with all that is of it, or a delivery; say how many.

        Parameters
        ----------
        entry_id : of a film or of a delivery
        """
        with self.database.writing() as connection:
            films = film_queue.drop_films(connection, FILMS.c.id == entry_id)
            done = connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.id == entry_id))
        self.drop_files(films)
        return len(films) + done.rowcount

    def sweep(self) -> int:
        """Drop what has been kept long enough, and what was left half done; say how many films.

        That films go unread, or results to nobody, is logged as an error: it is what is lost.
        """
        now_s = self.clock()
        old = FILMS.c.received_s < now_s - self.kept_s
        with self.database.writing() as connection:
            lost = _count_lost(connection, old)
            dropped = film_queue.drop_films(connection, old)
            rows = sa.select(FILMS.c.id).where(FILMS.c.state.in_(_NOT_DONE))
            known = set(connection.execute(rows).scalars())
            for film_id in known - self.sealed.ids():
                told = {"state": "failed", "code": FilmLost.code, "finished_s": now_s}
                film_queue.end_waiting(connection, film_id, **told)
            self.sealed.drop_orphans(known.union(dropped))  # while nobody can write a row
        self.drop_files(dropped)
        for holder_id in all_holders(self.holders):
            is_dead(self.holders, holder_id, forget=True)
        if any(lost.values()):
            _log.error("dropped before all was done", extra={"members": lost})
        elif dropped:
            _log.info("films were dropped", extra={"members": {"films": len(dropped)}})
        return len(dropped)

    def drop_files(self, film_ids: Iterable[str]) -> None:
        """Delete films' own files."""
        for film_id in film_ids:
            self.sealed.drop(film_id)


def _count_lost(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> dict[str, int]:
    """Return of films that are to be dropped how many were not read, and results not delivered."""
    number = sa.select(sa.func.count())
    films = number.where(chosen, FILMS.c.state.in_(_NOT_DONE))
    of_them = DELIVERIES.c.film_id.in_(sa.select(FILMS.c.id).where(chosen))
    deliveries = number.where(of_them, DELIVERIES.c.state != "delivered")
    return {
        "not_read": connection.execute(films).scalar() or 0,
        "not_delivered": connection.execute(deliveries).scalar() or 0,
    }


def _list_films(connection: sa.Connection, state: FilmState | None) -> list[FilmRow]:
    """Return the films, oldest first; of one state, if one is named."""
    names = (
        "id", "way", "state", "code", "attempts", "received_s", "finished_s", "bytes",
    )  # fmt: skip
    query = sa.select(*(FILMS.c[name] for name in names)).order_by(FILMS.c.id)
    if state is not None:
        query = query.where(FILMS.c.state == state)
    return [_film(row) for row in connection.execute(query).mappings()]


def _list_deliveries(connection: sa.Connection, state: DeliveryState | None) -> list[DeliveryRow]:
    """Return the deliveries, oldest first; of one state, if one is named."""
    query = sa.select(DELIVERIES).order_by(DELIVERIES.c.id)
    if state is not None:
        query = query.where(DELIVERIES.c.state == state)
    return [_delivery(row) for row in connection.execute(query).mappings()]


def _count(connection: sa.Connection, now_s: float) -> QueueCounts:
    """Return how much lies in the queue."""
    number = sa.func.count()
    films = connection.execute(sa.select(FILMS.c.state, number).group_by(FILMS.c.state))
    by_partner = (DELIVERIES.c.partner, DELIVERIES.c.state)
    deliveries = connection.execute(sa.select(*by_partner, number).group_by(*by_partner))
    film_s = connection.execute(
        sa.select(sa.func.min(FILMS.c.received_s)).where(FILMS.c.state == "waiting")
    ).scalar()
    delivery_s = connection.execute(
        sa.select(sa.func.min(DELIVERIES.c.since_s)).where(DELIVERIES.c.state == "waiting")
    ).scalar()
    held = sum_bytes(connection, sa.true())
    return QueueCounts(
        films={row[0]: row[1] for row in films},
        deliveries={(partner, state): amount for partner, state, amount in deliveries},
        oldest_film=_age(film_s, now_s),
        oldest_delivery=_age(delivery_s, now_s),
        bytes=held,
        waiting_bytes=held - sum_bytes(connection, has_arrived()),
    )


def _age(since_s: float | None, now_s: float) -> timedelta | None:
    return None if since_s is None else timedelta(seconds=max(0.0, now_s - since_s))


def _film(row: sa.RowMapping) -> FilmRow:
    return FilmRow(
        id=row["id"],
        way=row["way"],
        state=row["state"],
        code=row["code"],
        attempts=row["attempts"],
        received_at=time_of(row["received_s"]),
        finished_at=None if row["finished_s"] is None else time_of(row["finished_s"]),
        bytes=row["bytes"],
    )


def _delivery(row: sa.RowMapping) -> DeliveryRow:
    return DeliveryRow(
        id=row["id"],
        film_id=row["film_id"],
        partner=row["partner"],
        kind=row["kind"],
        state=row["state"],
        code=row["code"],
        attempts=row["attempts"],
        since=time_of(row["since_s"]),
        due_at=time_of(row["due_s"]),
        changed_at=time_of(row["changed_s"]),
    )
