"""The trail of one worker: what the service saw becomes signed rows on disk and in the database.

    event loop: a queue in memory -> writer: chain, spool on disk -> courier: database

A request puts a few values into a queue and goes on. The writer wakes every `audit_flush_ms`: what
the queue holds is on the disk when it is done. So a killed process loses what was not on the disk
yet: what was seen within the last flush interval, and while the write then under way lasted.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from time import time_ns
from typing import Final

from prometheus_client import CollectorRegistry
from ulid import ULID

from app import __version__
from app.errors import AuditFolderUnusable, RecordsFull
from app.model.card import Card
from app.reading.reading import Reading
from app.records.audit_metrics import AuditMetrics
from app.records.courier import Courier
from app.records.store.database import Database
from app.records.store.delivery import Delivery
from app.records.store.opening import open_records
from app.records.store.spool import Spool
from app.records.writer import Entry, Writer
from app.service.active.shadow import Comparison
from app.service.witness import Origin
from app.settings.audit_settings import AuditSettings

_log = logging.getLogger("neumo.records")

STOP_S: Final = 5.0
"""How long a stop waits for the database to take the last rows; what it doesn't is adopted."""


_LONGEST_PACE_S: Final = 1.0


class Trail:
    """Keeps the audit trail of one worker: a chain of its own, from `start` to `stop`.

    Parameters
    ----------
    registry : of the metrics
    on_turn : called on a thread about once a second while the database answers

    Raises
    ------
    RecordsError
        If folder, key or database can't be used. A database that does not answer is waited for.
    """

    def __init__(
        self,
        settings: AuditSettings,
        registry: CollectorRegistry,
        on_turn: Callable[[Database], None] = lambda _: None,
    ) -> None:
        key, self.database = open_records(settings)
        folder = Path(settings.audit_folder)
        try:
            spool = Spool.create(folder, str(ULID()))
        except OSError as error:
            raise AuditFolderUnusable(reason=error.strerror or type(error).__name__) from None
        metrics, arrived = AuditMetrics(registry), threading.Event()
        self._refuses = settings.audit_when_full == "refuse"
        self._writer = Writer(
            spool,
            key,
            metrics,
            settings.audit_flush_ms / 1000,
            settings.audit_spool_bytes,
            arrived,
        )
        self._courier = Courier(
            Delivery(self.database, key, folder),
            spool,
            metrics,
            arrived,
            self._writer.ended,
            pace_s(settings),
            settings.audit_retention_days,
            on_turn,
        )

    def start(self) -> None:
        """Begin to write."""
        self.append("open")
        self._writer.start()
        self._courier.start()

    def stop(self) -> None:
        """Write all that was seen, deliver it and seal the chain."""
        self.append("close")
        self._writer.stop()
        if not self._courier.join(STOP_S):
            _log.warning("the database did not take all rows: the next start delivers them")
        self.database.close()

    def check(self) -> None:
        """Refuse what could not be written down, if the settings say so.

        Raises
        ------
        RecordsFull
        """
        if self._refuses and self._writer.full:
            raise RecordsFull

    def saw_reading(self, origin: Origin, reading: Reading) -> None:
        """Write a Reading down."""
        judgement, acceptance = reading.judgement, reading.acceptance
        self.append(
            "reading",
            origin,
            image_sha256=reading.facts.sha256,
            model=reading.card.name,
            model_sha256=reading.card.sha256,
            acceptance_sha256=acceptance.file_sha256 if acceptance else None,
            probabilities=judgement.probabilities,
            label=judgement.label,
            status=judgement.status,
            reasons=judgement.reasons,
            warnings=[*judgement.warnings, *origin.remarks],
            decode_ms=reading.decode_ms,
            inference_ms=reading.inference_ms,
        )

    def saw_refusal(self, origin: Origin, code: str, image_sha256: str | None, card: Card) -> None:
        """Write down that an image was not read."""
        self.append(
            "refusal",
            origin,
            code=code,
            image_sha256=image_sha256,
            model=card.name,
            model_sha256=card.sha256,
        )

    def saw_comparison(self, comparison: Comparison) -> None:
        """Write down what the shadow made of a film; from its thread."""
        said, card = comparison.along, comparison.shadow
        self.append(
            "shadow",
            request_id=comparison.request_id or None,
            model=card.name,
            model_sha256=card.sha256,
            probabilities=said.probabilities,
            label=said.label,
            status=said.status,
        )

    def append(self, kind: str, origin: Origin | None = None, **columns: object) -> None:
        """Write a row down, without waiting; it is counted as lost if there is no room for it.

        Parameters
        ----------
        kind : of the row, in a word
        columns : of `app.records.store.database.ROWS`; lists and dicts become JSON
        """
        trace = origin.trace if origin is not None else None
        self._writer.put(Entry(_columns(kind, origin, columns), time_ns(), trace=trace))

    async def write(self, kind: str, origin: Origin, **columns: object) -> None:
        """Write a row down as `append` does, and return once it is on the disk.

        Raises
        ------
        RecordsFull
            If it can't be written.
        """
        written: Future[None] = Future()
        self._writer.put(Entry(_columns(kind, origin, columns), time_ns(), written))
        await asyncio.wrap_future(written)


def pace_s(settings: AuditSettings) -> float:
    """Return how many seconds the courier lets pass between two deliveries: up to five flushes."""
    flush_s = settings.audit_flush_ms / 1000
    return max(flush_s, min(_LONGEST_PACE_S, 5 * flush_s))


def _columns(kind: str, origin: Origin | None, columns: dict[str, object]) -> dict[str, object]:
    columns |= {"kind": kind, "neumo": __version__}
    if origin is not None:
        columns |= {
            "request_id": origin.request_id or None,
            "key_name": origin.caller or None,
            "call": origin.call or None,
            "file_index": origin.index,
        }
    return columns
