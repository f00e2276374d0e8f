"""Delivery: a thread a partner sends what is due; one that is away holds up no other."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from app.errors import QueueAway, QueueFull
from app.exchange.partners.sending import Partner, Sent, Verdict
from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_entries import DueDelivery

_log = logging.getLogger("neumo.exchange")

_TURN_S: Final = 1.0
"""How often it looks for what others have put into the queue."""

_TOGETHER: Final = 8
"""Objects over one association."""

_LONGEST_S: Final = 3600.0
_LONGEST_AWAY_S: Final = 60.0
_JITTER: Final = 0.2
_NOW: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How often an object is sent, and how long after it was not taken.

    Parameters
    ----------
    attempts : then it is a dead letter
    backoff_s : before the second; doubled after each
    """

    attempts: int
    backoff_s: float

    def wait_s(self, failures: int, longest_s: float = _LONGEST_S) -> float:
        """Return how long to wait after some failures, never the same for two objects."""
        exact_s = min(self.backoff_s * float(1 << min(failures - 1, 32)), longest_s)
        return exact_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret


class Deliverer:
    """Sends results from `start` to `stop`.

    Parameters
    ----------
    outbox : may be used by others at the same time, in other processes too
    """

    def __init__(self, outbox: Outbox, partners: Sequence[Partner], rules: DeliveryRules) -> None:
        self._stopped = threading.Event()
        self._lines = [_Line(outbox, partner, rules, self._stopped) for partner in partners]

    def start(self) -> None:
        """Begin to send."""
        for line in self._lines:
            line.start()

    def wake(self) -> None:
        """Say that there are new results: they need not wait for the next look."""
        for line in self._lines:
            line.woken.set()

    def stop(self, timeout_s: float) -> None:
        """Finish the object that is being sent, and give back what was taken."""
        self._stopped.set()
        self.wake()
        until_s = time.monotonic() + timeout_s  # for all of them together
        for line in self._lines:
            line.join(max(0.0, until_s - time.monotonic()))


class _Line(threading.Thread):
    """What is sent to one partner."""

    def __init__(
        self, outbox: Outbox, partner: Partner, rules: DeliveryRules, stopped: threading.Event
    ) -> None:
        super().__init__(name="delivery", daemon=True)
        self.woken = threading.Event()
        self._outbox, self._partner, self._rules = outbox, partner, rules
        self._stopped = stopped
        self._away = 0
        """Times in a row that the partner did not answer."""
        self._owed: list[Callable[[], None]] = []
        """What the queue could not be told yet: or what was delivered would be sent again."""

    def run(self) -> None:
        """Send what is due, until stopped."""
        try:
            self._send_all()
        finally:
            self._partner.close()

    def _send_all(self) -> None:
        while not self._stopped.is_set():
            wait_s = _TURN_S
            try:
                while self._owed:
                    self._owed[0]()
                    del self._owed[0]
                due = self._outbox.due(self._partner.name, _TOGETHER)
                if due:
                    wait_s = self._send(due)
            except (QueueAway, QueueFull) as error:
                _log.error("the queue can't be used", extra={"members": {"code": error.code}})
            except Exception as error:  # noqa: BLE001 - others' results have to go on
                _log.error("delivery failed", exc_info=error)
            if wait_s > 0 and self._away:
                self._stopped.wait(wait_s)  # new results make no partner come back
            elif wait_s > 0:
                self.woken.wait(wait_s)
            self.woken.clear()

    def _send(self, due: list[DueDelivery]) -> float:
        """Send objects; return how long to wait before the next ones."""
        unsent = {delivery.id: delivery for delivery in due}
        away: Sent | None = None
        try:
            with closing(self._partner.send(due)) as sending:
                for delivery, sent in sending:
                    away = sent if sent.verdict is Verdict.AWAY else None
                    if away is not None:
                        break
                    del unsent[delivery.id]
                    self._mark(delivery, sent)
                    self._away = 0
                    if self._stopped.is_set():
                        break
        except Exception as error:  # noqa: BLE001 - its text may quote what was sent
            _log.error("sending failed", exc_info=error)
            if unsent:
                delivery = unsent.pop(next(iter(unsent)))
                self._mark(delivery, Sent(Verdict.AGAIN, "internal_error"))
        code = away.code if away is not None else "not_sent"
        left = [*unsent.values()]
        for delivery in left[1:] + left[:1]:  # the first last: it holds up no other for ever
            put_off = partial(self._outbox.put_off, again_in=_NOW, counts=False)
            self._tell(partial(put_off, delivery.id, code))
        return 0.0 if away is None else self._note_away(away)

    def _mark(self, delivery: DueDelivery, sent: Sent) -> None:
        members: dict[str, object] = {
            "delivery": delivery.id,
            "film": delivery.film_id,
            "kind": delivery.kind,
            "attempts": delivery.attempts,
        }
        if sent.verdict is Verdict.DELIVERED:
            self._tell(partial(self._outbox.delivered, delivery.id))
            _log.info("delivered", extra={"members": members})
            return
        members["code"] = sent.code
        is_last = delivery.attempts >= self._rules.attempts
        if sent.verdict is Verdict.NEVER or is_last:
            self._tell(partial(self._outbox.put_off, delivery.id, sent.code, again_in=None))
            _log.error("not delivered: a dead letter", extra={"members": members})
            return
        wait_s = sent.wait_s or self._rules.wait_s(delivery.attempts)
        again_in = timedelta(seconds=wait_s)
        self._tell(partial(self._outbox.put_off, delivery.id, sent.code, again_in=again_in))
        _log.warning("not delivered yet", extra={"members": members})

    def _tell(self, mark: Callable[[], None]) -> None:
        """Tell the queue what came of a delivery; later, if it can't be used now."""
        try:
            mark()
        except (QueueAway, QueueFull) as error:
            _log.error("the queue can't be used", extra={"members": {"code": error.code}})
            self._owed.append(mark)

    def _note_away(self, away: Sent) -> float:
        self._away += 1
        members = {"partner": self._partner.name, "code": away.code}
        if self._away == 1:  # or the log would fill for as long as it is away
            _log.warning("a partner takes nothing", extra={"members": members})
        return away.wait_s or self._rules.wait_s(self._away, _LONGEST_AWAY_S)
