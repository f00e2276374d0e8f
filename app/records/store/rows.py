"""Rows as they are read: one after the other, however many there are."""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from app.records.store.database import ROWS, Database

COLUMNS: Final = tuple(column.name for column in ROWS.columns)
_BATCH: Final = 1000


def read_rows(
    database: Database, since: str | None = None, until: str | None = None
) -> Iterator[dict[str, Any]]:
    """Give the rows of some days, each chain's in its order.

    Parameters
    ----------
    since, until : days as YYYY-MM-DD, the first included and the last not

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
    """
    wanted = sa.select(ROWS).order_by(ROWS.c.chain, ROWS.c.seq)
    if since is not None:
        wanted = wanted.where(ROWS.c.time >= since)
    if until is not None:
        wanted = wanted.where(ROWS.c.time < until)
    with database.reading() as connection:
        found = connection.execution_options(yield_per=_BATCH).execute(wanted)
        for row in found.mappings():
            yield dict(row)
