"""Films that wait to be read: rows of them, changed within a transaction that is the caller's."""

import json
from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from app.errors import FilmLost
from app.records.integrity.seal import Seal
from app.records.outbox.lease import LEASE_S
from app.records.outbox.queue_database import (
    DELIVERIES,
    FILMS,
    RESULTS,
    has_arrived,
    sum_bytes,
    time_of,
)
from app.records.outbox.queue_entries import (
    MadeResult,
    QueuedFilm,
    StoredReading,
    StoredResult,
    Way,
)

MOST_ATTEMPTS: Final = 3
"""Of reading a film: one that a reader died of so often is given up."""

KILLED: Final = "reader_killed"


def find_same(
    connection: sa.Connection, digest: str, models: Collection[str]
) -> sa.RowMapping | None:
    """Return the newest film of a SOP instance, unless a model read it that is none of these."""
    newest = sa.select(FILMS).where(FILMS.c.sop_digest == digest).order_by(FILMS.c.id.desc())
    row = connection.execute(newest.limit(1)).mappings().first()
    if row is None or (models and row["model"] and row["model"] not in models):
        return None
    return row


def add_film(
    connection: sa.Connection,
    seal: Seal,
    film_id: str,
    sop_uid: str,
    study_uid: str,
    way: Way,
    size: int,
    now_s: float,
) -> None:
    """Write the row of a film that is on the disk."""
    names = json.dumps([sop_uid, study_uid]).encode()
    connection.execute(
        sa.insert(FILMS).values(
            id=film_id,
            sop_digest=seal.digest(sop_uid),
            names=seal.close(f"names:{film_id}", names),
            way=way,
            state="waiting",
            attempts=0,
            received_s=now_s,
            leased_until_s=0.0,
            bytes=size,
        )
    )


def lease_next(
    connection: sa.Connection, seal: Seal, holder_id: str, now_s: float
) -> QueuedFilm | None:
    """Take the film that has waited longest; give up those that readers died of."""
    free = (FILMS.c.state == "waiting") & (FILMS.c.leased_until_s <= now_s)
    while True:
        row = (
            connection.execute(sa.select(FILMS).where(free).order_by(FILMS.c.id).limit(1))
            .mappings()
            .first()
        )
        if row is None:
            return None
        if row["attempts"] >= MOST_ATTEMPTS:
            end_waiting(connection, row["id"], state="failed", code=KILLED, finished_s=now_s)
            continue
        try:
            sop_uid, study_uid = _names(row, seal)
        except FilmLost as error:
            end_waiting(connection, row["id"], state="failed", code=error.code, finished_s=now_s)
            continue
        attempts = row["attempts"] + 1
        connection.execute(
            sa.update(FILMS)
            .where(FILMS.c.id == row["id"])
            .values(attempts=attempts, leased_until_s=now_s + LEASE_S, owner=holder_id)
        )
        return QueuedFilm(
            id=row["id"],
            sop_uid=sop_uid,
            study_uid=study_uid,
            way=row["way"],
            received_at=time_of(row["received_s"]),
            attempts=attempts,
        )


def end_waiting(connection: sa.Connection, film_id: str, **columns: object) -> bool:
    """Change a film that waits; say whether it did, or somebody else was first."""
    done = connection.execute(
        sa.update(FILMS)
        .where(FILMS.c.id == film_id, FILMS.c.state == "waiting")
        .values(leased_until_s=0.0, owner=None, **columns)
    )
    return done.rowcount > 0


def make_room(connection: sa.Connection, needed: int, most_bytes: int) -> bool:
    """Drop what is kept of films whose results have all arrived; say whether it is enough.

    The oldest go first. Their rows stay, so that they are known if they come again.
    """
    over = sum_bytes(connection, sa.true()) + needed - most_bytes
    if over <= 0:
        return True
    done = (
        sa.select(FILMS.c.id, FILMS.c.bytes)
        .where(has_arrived(), FILMS.c.bytes > 0)
        .order_by(FILMS.c.id)
    )
    for film_id, size in connection.execute(done).all():
        drop_content(connection, film_id)
        over -= size
        if over <= 0:
            return True
    return False


def drop_content(connection: sa.Connection, film_id: str) -> None:
    """Drop a film's reading and results, and keep its row."""
    connection.execute(sa.delete(RESULTS).where(RESULTS.c.film_id == film_id))
    connection.execute(sa.update(FILMS).where(FILMS.c.id == film_id).values(bytes=0, reading=None))


def drop_films(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> list[str]:
    """Drop films with all that is of them, and return their ids."""
    ids = list(connection.execute(sa.select(FILMS.c.id).where(chosen)).scalars())
    for table, column in ((DELIVERIES, DELIVERIES.c.film_id), (RESULTS, RESULTS.c.film_id)):
        connection.execute(sa.delete(table).where(column.in_(sa.select(FILMS.c.id).where(chosen))))
    connection.execute(sa.delete(FILMS).where(chosen))
    return ids


def seal_result(film_id: str, result: MadeResult, seal: Seal) -> dict[str, object]:
    """Return the row of a result."""
    place = f"{film_id}:{result.kind}"
    return {
        "film_id": film_id,
        "kind": result.kind,
        "media_type": result.media_type,
        "uid": seal.close(f"uid:{place}", result.uid.encode()),
        "data": seal.close(f"result:{place}", result.data),
    }


def read_stored(
    connection: sa.Connection, seal: Seal, chosen: sa.ColumnElement[bool]
) -> StoredReading | None:
    """Return what is kept of the newest of the films that are meant.

    Raises
    ------
    FilmLost
    """
    newest = sa.select(FILMS).where(chosen).order_by(FILMS.c.id.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    if row is None:
        return None
    film_id = row["id"]
    sop_uid, study_uid = _names(row, seal)
    results = connection.execute(sa.select(RESULTS).where(RESULTS.c.film_id == film_id)).mappings()
    reading = row["reading"]
    return StoredReading(
        film_id=film_id,
        sop_uid=sop_uid,
        study_uid=study_uid,
        received_at=time_of(row["received_s"]),
        state=row["state"],
        code=row["code"],
        reading=None if reading is None else seal.open(f"reading:{film_id}", reading),
        results={found["kind"]: _result(found, seal) for found in results},
    )


def _result(row: sa.RowMapping, seal: Seal) -> StoredResult:
    place = f"{row['film_id']}:{row['kind']}"
    return StoredResult(
        kind=row["kind"],
        uid=seal.open(f"uid:{place}", row["uid"]).decode(),
        media_type=row["media_type"],
        data=seal.open(f"result:{place}", row["data"]),
    )


def _names(row: sa.RowMapping, seal: Seal) -> tuple[str, str]:
    sop_uid, study_uid = json.loads(seal.open(f"names:{row['id']}", row["names"]))
    return sop_uid, study_uid
