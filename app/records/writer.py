"""The writer: a thread that chains what was seen and puts it on the disk, a few times a second."""

import contextlib
import json
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from app.errors import RecordsFull
from app.records.audit_metrics import AuditMetrics
from app.records.integrity.audit_key import AuditKey
from app.records.integrity.chain import Head, Row, link
from app.records.store.spool import Spool
from app.service.trace import Trace

_log = logging.getLogger("neumo.records")

MOST_WAITING: Final = 10_000
"""Rows that wait in memory while the disk takes none."""


@dataclass(slots=True)
class Entry:
    """What was seen, on its way to the disk.

    Parameters
    ----------
    columns : of the row; lists and dicts become JSON
    written : done once it is on the disk; fails with `RecordsFull` if it can't be
    trace : told how long it took
    """

    columns: dict[str, Any]
    time_ns: int
    written: Future[None] | None = None
    trace: Trace | None = None


class Writer:
    """Takes entries from any thread, without waiting, and writes them down in their order.

    Parameters
    ----------
    flush_s : seconds between two writes
    most_bytes : of the spool
    arrived : set when there is something new in the spool, and at the end
    """

    def __init__(
        self,
        spool: Spool,
        key: AuditKey,
        metrics: AuditMetrics,
        flush_s: float,
        most_bytes: int,
        arrived: threading.Event,
    ) -> None:
        self.full = False
        self.ended = threading.Event()
        self._spool, self._key, self._metrics = spool, key, metrics
        self._flush_s, self._most_bytes = flush_s, most_bytes
        self._arrived = arrived
        self._head = Head(spool.chain)
        self._queue: deque[Entry] = deque()
        self._pending: list[Entry] = []
        self._lost = self._lost_told = 0
        self._counting = threading.Lock()
        self._flush, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Take an entry; it is counted as lost if there is no room for it."""
        if len(self._queue) + len(self._pending) < MOST_WAITING:
            self._queue.append(entry)
            if entry.written is not None:
                self._flush.set()
            return
        with self._counting:
            self._lost += 1
        self._metrics.count_lost(1)
        if entry.written is not None:
            entry.written.set_exception(RecordsFull())

    def stop(self) -> None:
        """Write what was taken, and end; without waiting for it."""
        self._stopping.set()
        self._flush.set()

    def _run(self) -> None:
        last = False
        while not last:
            self._flush.wait(self._flush_s)
            self._flush.clear()
            last = self._stopping.is_set()
            try:
                self._write_all()
            except Exception:  # noqa: BLE001 - or nothing would ever be written again
                _log.exception("the audit trail's writer failed")
                self._note(full=True)
        self.ended.set()
        self._arrived.set()

    def _write_all(self) -> None:
        while self._queue:
            self._pending.append(self._queue.popleft())
        lost = self._lost - self._lost_told
        entries = list(self._pending)
        if lost:
            entries.append(Entry({"kind": "lost", "lost": lost}, time.time_ns()))
        head, lines = self._head, []
        for entry in entries:
            head, line = link(head, self._key, entry.time_ns, _as_text(entry.columns))
            lines.append(line)
        try:
            self._spool.empty()
            if lines:
                self._append("".join(lines).encode())
        except OSError:
            self._note(full=True)
            self._give_up_those_who_wait()
            return
        self._head = head
        self._lost_told += lost
        self._pending.clear()
        self._note(full=False)
        for entry in entries:
            if entry.written is not None:
                entry.written.set_result(None)
            if entry.trace is not None:
                entry.trace.note("audit queue", entry.time_ns, time.time_ns())
        if lines:
            self._arrived.set()

    def _append(self, data: bytes) -> None:
        if self._spool.size + len(data) > self._most_bytes:
            raise OSError("the spool is full")
        self._spool.append(data)

    def _give_up_those_who_wait(self) -> None:
        """Tell whoever waits for a row that it isn't written, and write that one no more."""
        for entry in self._pending:
            if entry.written is not None:
                entry.written.set_exception(RecordsFull())
        self._pending[:] = [entry for entry in self._pending if entry.written is None]

    def _note(self, *, full: bool) -> None:
        if full and not self.full:
            self._metrics.count_failure("spool")
            _log.error("the audit trail can't be written: spool or disk full")
        elif self.full and not full:
            _log.info("the audit trail can be written again")
        self.full = full
        with contextlib.suppress(OSError, ValueError):
            self._metrics.set_spool(self._spool.size, full=full)


def _as_text(columns: dict[str, Any]) -> Row:
    return {
        name: json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
        for name, value in columns.items()
    }
