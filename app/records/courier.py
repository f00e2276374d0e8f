"""The courier: a thread that brings the spool into the database, however long that takes or fails.

It also does what is due in the database: adopts what killed workers left, drops what is old.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from app.errors import RecordsError
from app.records.audit_metrics import AuditMetrics
from app.records.integrity.chain import Head
from app.records.store.database import AWAY, Database
from app.records.store.delivery import Delivery
from app.records.store.opening import prepare_database
from app.records.store.spool import Spool

_log = logging.getLogger("neumo.records")

_TURN_S: Final = 1.0
_ADOPT_S: Final = 5.0
_DROP_S: Final = 3600.0
_LONGEST_PAUSE_S: Final = 10.0


class Courier:
    """Delivers one worker's spool, from its first row to the seal that ends its chain.

    Parameters
    ----------
    arrived : set when there is something new in the spool
    written_all : set once the spool gets no more rows
    pace_s : least seconds from one delivery to the next: rows are safe in the spool, and a
        transaction for a few costs as much as one for many
    retention_days : after which sealed segments are dropped; 0: never
    on_turn : called about once a second while the database answers
    """

    def __init__(
        self,
        delivery: Delivery,
        spool: Spool,
        metrics: AuditMetrics,
        arrived: threading.Event,
        written_all: threading.Event,
        pace_s: float,
        retention_days: int,
        on_turn: Callable[[Database], None],
    ) -> None:
        self._delivery, self._spool, self._metrics = delivery, spool, metrics
        self._arrived, self._written_all = arrived, written_all
        self._pace_s, self._retention_days = pace_s, retention_days
        self._on_turn = on_turn
        self._head = Head(spool.chain)
        self._ready, self._well = False, True
        self._whole_s = time.time()
        self._adopt_at_s = self._drop_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="audit-courier", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; return whether the chain has ended too.

        A spool that was not delivered is given up, for another worker to adopt.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        delivered = self._spool.closed
        self._spool.close()
        return delivered

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            if not pause_s:
                self._arrived.wait(_TURN_S)
            self._written_all.wait(pause_s or self._pace_s)  # more rows are no reason to hurry
            self._arrived.clear()
            last = self._written_all.is_set()
            try:
                self._turn(last=last)
            except (*AWAY, RecordsError) as error:
                self._tell_failure(error)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2 or _TURN_S / 2)
            except Exception as error:  # noqa: BLE001 - or nothing would ever be delivered again
                _log.exception("the audit trail's courier failed")
                self._tell_failure(error)
                pause_s = _LONGEST_PAUSE_S
            else:
                pause_s = 0.0
            if last:
                return

    def _turn(self, *, last: bool) -> None:
        if not self._ready:
            prepare_database(self._delivery.database, self._delivery.key)
            self._ready = True
        kinds = ["first"]
        while kinds:
            self._head, kinds = self._delivery.deliver(self._spool, self._head)
            self._metrics.count_rows(kinds)
        self._tell_whole()
        if last:
            self._delivery.end(self._spool, self._head)
            return
        self._head = self._delivery.seal_past(self._head)
        now_s = time.monotonic()
        if now_s >= self._adopt_at_s:
            self._adopt_at_s = now_s + _ADOPT_S
            self._adopt()
        if now_s >= self._drop_at_s:
            self._drop_at_s = now_s + _DROP_S
            self._drop_old()
        self._on_turn(self._delivery.database)

    def _adopt(self) -> None:
        chains, kinds = self._delivery.adopt()
        self._metrics.count_rows(kinds)
        if chains:
            members = {"chains": chains, "rows": len(kinds)}
            _log.warning("rows of killed workers were delivered", extra={"members": members})

    def _drop_old(self) -> None:
        while self._retention_days and (segments := self._delivery.drop_old(self._retention_days)):
            members = {"segments": segments}
            _log.info("old segments of the audit trail were dropped", extra={"members": members})

    def _tell_whole(self) -> None:
        self._whole_s = time.time()
        self._metrics.set_flush(0.0, self._whole_s)
        if not self._well:
            _log.info("the audit trail's database takes rows again")
        self._well = True

    def _tell_failure(self, error: Exception) -> None:
        self._metrics.count_failure("database")
        lag_s = time.time() - self._whole_s if self._spool.waiting else 0.0
        self._metrics.set_flush(lag_s, self._whole_s)
        if self._well:
            members: dict[str, object] = {"error": type(error).__name__}
            if isinstance(error, RecordsError):
                members["detail"] = error.detail("en")
            _log.error("the audit trail's database takes no rows", extra={"members": members})
        self._well = False
