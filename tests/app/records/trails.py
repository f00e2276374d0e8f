"""Audit trails for tests: in a folder of their own, written without a service."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from app.records.integrity.verification import Verdict, verify
from app.records.store.ledger import Mark
from app.records.store.opening import open_records, prepare_records
from app.records.store.rows import read_rows
from app.records.trail import Trail
from app.service.witness import Origin
from app.settings.settings import Settings

FREE = "DROP TRIGGER audit_row_is_append_only"
"""What somebody does first who wants to change a row."""


class Place:
    """Where a trail is kept."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.folder = folder
        self.registry = CollectorRegistry()
        self.settings = Settings(
            **{"audit_folder": str(folder), "audit_flush_ms": 10, **settings},
        )

    @contextmanager
    def trail(self) -> Iterator[Trail]:
        """Keep a trail, from its start to its orderly stop."""
        trail = self.new_trail()
        trail.start()
        try:
            yield trail
        finally:
            trail.stop()

    def new_trail(self) -> Trail:
        """Make a trail as a worker does, after its parent has prepared the database."""
        prepare_records(self.settings)
        self.registry = CollectorRegistry()
        return Trail(self.settings, self.registry)

    def write(self, count: int, **columns: object) -> None:
        """Keep a whole trail with so many readings."""
        with self.trail() as trail:
            for number in range(count):
                trail.append("reading", Origin(f"id-{number}"), label="normal", **columns)

    def rows(self) -> list[dict[str, Any]]:
        _, database = open_records(self.settings)
        try:
            return list(read_rows(database))
        finally:
            database.close()

    def verify(self, expected: Mark | None = None) -> Verdict:
        key, database = open_records(self.settings)
        try:
            return verify(database, key, self.folder, expected)
        finally:
            database.close()

    def findings(self) -> list[tuple[str, str]]:
        """Return what is found, without the chain's name: it is another each time."""
        return [
            (each.what, " ".join(word for word in each.where.split() if len(word) != 26))
            for each in self.verify().findings
        ]

    def sql(self, *statements: str) -> None:
        """Change the SQLite database by hand."""
        with closing(sqlite3.connect(self.folder / "audit.sqlite")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def wait_until(is_so: Callable[[], bool], limit_s: float = 10.0) -> None:
    until_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.005)
