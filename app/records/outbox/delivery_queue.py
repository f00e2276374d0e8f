"""Results that are to be delivered: each to each partner that takes its kind, until it has it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from ulid import ULID

from app.errors import FilmLost
from app.records.integrity.seal import Seal
from app.records.outbox.lease import LEASE_S
from app.records.outbox.queue_database import DELIVERIES, RESULTS
from app.records.outbox.queue_entries import DueDelivery, Kind

_LOST: Final = FilmLost.code

_FARTHEST_S: Final = 2 * 3600.0
"""Longer than any delivery is put off: what is due later was written by a clock that was wrong."""


def add_deliveries(
    connection: sa.Connection,
    film_id: str,
    kinds: Iterable[Kind],
    partners: Mapping[str, Collection[Kind]],
    now_s: float,
) -> None:
    """Make a delivery of each result for each partner that takes its kind."""
    rows = [
        {
            "id": str(ULID()),
            "film_id": film_id,
            "kind": kind,
            "partner": partner,
            "state": "waiting",
            "attempts": 0,
            "since_s": now_s,
            "due_s": now_s,
            "changed_s": now_s,
            "leased_until_s": 0.0,
        }
        for kind in kinds
        for partner, taken in partners.items()
        if kind in taken
    ]
    if rows:
        connection.execute(sa.insert(DELIVERIES), rows)


def is_due(partner: str, now_s: float) -> sa.ColumnElement[bool]:
    """Return the condition of what can be sent to a partner now, as far as nobody else does."""
    return sa.and_(
        DELIVERIES.c.partner == partner,
        DELIVERIES.c.state == "waiting",
        (DELIVERIES.c.due_s <= now_s) | (DELIVERIES.c.due_s > now_s + _FARTHEST_S),
    )


def lease_due(
    connection: sa.Connection, seal: Seal, holder_id: str, partner: str, most: int, now_s: float
) -> list[DueDelivery]:
    """Take what is due for a partner; what can't be opened any more becomes a dead letter."""
    found = connection.execute(
        sa.select(DELIVERIES, RESULTS.c.media_type, RESULTS.c.uid, RESULTS.c.data)
        .outerjoin(
            RESULTS,
            (RESULTS.c.film_id == DELIVERIES.c.film_id) & (RESULTS.c.kind == DELIVERIES.c.kind),
        )
        .where(is_due(partner, now_s), DELIVERIES.c.leased_until_s <= now_s)
        .order_by(DELIVERIES.c.due_s, DELIVERIES.c.id)
        .limit(most)
    ).mappings()
    taken = []
    for row in list(found):
        place = f"{row['film_id']}:{row['kind']}"
        try:
            uid = seal.open(f"uid:{place}", row["uid"] or b"").decode()
            data = seal.open(f"result:{place}", row["data"] or b"")
        except FilmLost:
            change_waiting(connection, row["id"], state="dead", code=_LOST, changed_s=now_s)
            continue
        attempts = row["attempts"] + 1
        change_waiting(
            connection,
            row["id"],
            attempts=attempts,
            changed_s=now_s,
            leased_until_s=now_s + LEASE_S,
            owner=holder_id,
        )
        taken.append(
            DueDelivery(
                id=row["id"],
                film_id=row["film_id"],
                partner=partner,
                kind=row["kind"],
                uid=uid,
                media_type=row["media_type"],
                data=data,
                attempts=attempts,
            )
        )
    return taken


def change_waiting(connection: sa.Connection, delivery_id: str, **columns: object) -> None:
    """Change a delivery that still waits; one that was delivered or given up stays as it is."""
    waits = (DELIVERIES.c.id == delivery_id) & (DELIVERIES.c.state == "waiting")
    connection.execute(sa.update(DELIVERIES).where(waits).values(**columns))


def put_off(
    connection: sa.Connection,
    delivery_id: str,
    code: str,
    again_in: timedelta | None,
    now_s: float,
    *,
    counts: bool,
) -> None:
    """Let a delivery wait, or make it a dead letter; its lease ends."""
    columns: dict[str, object] = {"code": code, "leased_until_s": 0.0, "owner": None}
    if again_in is None:
        columns |= {"state": "dead", "changed_s": now_s}
    else:
        columns["due_s"] = now_s + again_in.total_seconds()
    if not counts:
        columns["attempts"] = DELIVERIES.c.attempts - 1
    change_waiting(connection, delivery_id, **columns)


def send_again(connection: sa.Connection, chosen: sa.ColumnElement[bool], now_s: float) -> int:
    """Let deliveries wait anew, whatever became of them; say how many."""
    times = dict.fromkeys(("since_s", "due_s", "changed_s"), now_s)
    columns = {"state": "waiting", "attempts": 0, **times}
    free = DELIVERIES.c.leased_until_s <= now_s
    done = connection.execute(sa.update(DELIVERIES).where(chosen, free).values(**columns))
    return done.rowcount


def move(
    connection: sa.Connection, partner: str, to: str, kinds: Collection[Kind], now_s: float
) -> int:
    """Let what a partner has not taken wait for another one, if it takes the kind; say how many."""
    chosen = sa.and_(
        DELIVERIES.c.partner == partner,
        DELIVERIES.c.state.in_(("waiting", "dead")),
        DELIVERIES.c.kind.in_(kinds),
        DELIVERIES.c.leased_until_s <= now_s,
    )
    ids = list(connection.scalars(sa.select(DELIVERIES.c.id).where(chosen)))
    moved = DELIVERIES.c.id.in_(ids)
    connection.execute(sa.update(DELIVERIES).where(moved).values(partner=to, code=None))
    return send_again(connection, moved, now_s)
