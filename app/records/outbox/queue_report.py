"""What lies in the queue, as an operator sees it: ids, states and times, nothing of a patient."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.records.outbox.queue_database import DELIVERIES, FILMS
from app.records.outbox.queue_entries import (
    DeliveryRow,
    DeliveryState,
    FilmRow,
    FilmState,
    QueueCounts,
)


def list_films(connection: sa.Connection, state: FilmState | None) -> list[FilmRow]:
    """Return the films, oldest first; of one state, if one is named."""
    names = (
        "id", "way", "state", "code", "attempts", "received_s", "finished_s", "bytes",
    )  # fmt: skip
    query = sa.select(*(FILMS.c[name] for name in names)).order_by(FILMS.c.id)
    if state is not None:
        query = query.where(FILMS.c.state == state)
    return [_film(row) for row in connection.execute(query).mappings()]


def list_deliveries(connection: sa.Connection, state: DeliveryState | None) -> list[DeliveryRow]:
    """Return the deliveries, oldest first; of one state, if one is named."""
    query = sa.select(DELIVERIES).order_by(DELIVERIES.c.id)
    if state is not None:
        query = query.where(DELIVERIES.c.state == state)
    return [_delivery(row) for row in connection.execute(query).mappings()]


def count(connection: sa.Connection, now_s: float) -> QueueCounts:
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
    return QueueCounts(
        films={row[0]: row[1] for row in films},
        deliveries={(partner, state): amount for partner, state, amount in deliveries},
        oldest_film=_age(film_s, now_s),
        oldest_delivery=_age(delivery_s, now_s),
        bytes=held_bytes(connection),
        waiting_bytes=held_bytes(connection) - _sum(connection, has_arrived()),
    )


def held_bytes(connection: sa.Connection) -> int:
    """Return how many bytes of films and results are kept."""
    return _sum(connection, sa.true())


def has_arrived() -> sa.ColumnElement[bool]:
    """Return the condition of films that were read, and whose results have all been delivered."""
    waits = sa.exists().where(DELIVERIES.c.film_id == FILMS.c.id, DELIVERIES.c.state != "delivered")
    return (FILMS.c.state == "read") & ~waits


def time_of(seconds: float) -> datetime:
    """Return a time of the tables, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _sum(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> int:
    total = sa.select(sa.func.sum(FILMS.c.bytes)).where(chosen)
    return int(connection.execute(total).scalar() or 0)


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
