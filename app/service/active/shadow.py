"""The shadow: a second model that reads the same films, off the requests' path.

It reads only while nothing else is to be read, at the lowest priority that the system has, and a
film that would wait too long for that is dropped. Nobody is answered what it says: how far it
agrees is counted, and told to whoever listens.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from app.errors import NotAChestXray
from app.model.card import Card
from app.model.labels import LabelId
from app.reading.judge import Judgement, Status
from app.reading.reader import Film, Reader

_log = logging.getLogger("neumo.shadow")

_MOST_WAITING: Final = 32
_MOST_AGE_S: Final = 30.0
_TURN_S: Final = 0.01
_LOWEST_PRIORITY: Final = 19  # as of nice(1)

Lost = Literal["queue_full", "busy", "failed"]
"""Why a film was not read: too many wait, it waited too long, or the shadow can't read it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one model says of a film: a label with a status, or that it refuses it.

    `probabilities` are calibrated, before a hospital's priors.
    """

    label: LabelId | None
    status: Status | Literal["refused"]
    probabilities: dict[LabelId, float]

    @classmethod
    def of(cls, probabilities: dict[LabelId, float], judgement: Judgement | None) -> "Said":
        """Return what a judgement says; None: it was refused."""
        if judgement is None:
            return cls(None, "refused", probabilities)
        return cls(judgement.label, judgement.status, probabilities)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two models say of one film.

    Parameters
    ----------
    request_id : of the call that the film came with; empty if it had none
    active, shadow : cards of the model that answered, and of the one that read along
    answered, along : what they say
    """

    request_id: str
    active: Card
    shadow: Card
    answered: Said
    along: Said

    @property
    def same_label(self) -> bool:
        """Whether both call the same label, or both refuse."""
        return self.answered.label == self.along.label

    @property
    def same_status(self) -> bool:
        """Whether both are sure, both are not, or both refuse."""
        return self.answered.status == self.along.status

    @property
    def difference(self) -> float:
        """The largest difference of a label's probability."""
        return max(
            abs(share - self.along.probabilities[label])
            for label, share in self.answered.probabilities.items()
        )


class Listener(Protocol):
    """Who is told what was compared, such as the audit trail; called on the shadow's thread."""

    def __call__(self, comparison: Comparison) -> object:
        """Take one comparison; quick, and raising nothing."""


class Counts(Protocol):
    """What the shadow counts by: `app.service.telemetry.Metrics`."""

    def count_comparison(self, comparison: Comparison) -> None:
        """Count one film that both read."""

    def count_unread(self, reason: Lost) -> None:
        """Count one film that the shadow did not read."""


@dataclass(frozen=True, slots=True)
class _Task:
    film: Film
    request_id: str
    active: Card
    answered: Said
    since_s: float


class Shadow:
    """One thread that reads along with one model.

    Parameters
    ----------
    reader : of the shadow's model
    idle : whether nothing else is to be read now
    listeners : told of each comparison; more may be added
    """

    def __init__(
        self,
        reader: Reader,
        idle: Callable[[], bool],
        counts: Counts,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.reader = reader
        self._idle = idle
        self._counts = counts
        self._listeners = listeners
        self._waiting: deque[_Task] = deque()
        self._came = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def offer(
        self, film: Film, active: Card, judgement: Judgement | None, request_id: str = ""
    ) -> None:
        """Read a film too, once there is time.

        Parameters
        ----------
        active, judgement : of the model that answered; no judgement if it refused the film
        """
        if active is self.reader.model.card:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._counts.count_unread("queue_full")
            return
        said = Said.of(film.outputs.probabilities, judgement)
        self._waiting.append(_Task(film, request_id, active, said, time.monotonic()))
        self._came.set()

    def stop(self) -> None:
        """Read no more; what waits is not read."""
        self._stopped = True
        self._came.set()
        self._thread.join()

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # of this thread alone: Linux has it so
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while not self._stopped:
            if not self._waiting:
                self._came.clear()
                if not (self._waiting or self._stopped):  # or it came in between
                    self._came.wait()
                continue
            task = self._waiting[0]
            if time.monotonic() - task.since_s > _MOST_AGE_S:
                self._waiting.popleft()
                self._counts.count_unread("busy")
            elif self._idle():
                self._waiting.popleft()
                self._read(task)
            else:
                time.sleep(_TURN_S)

    def _read(self, task: _Task) -> None:
        try:
            along = self._ask(task.film)
            comparison = Comparison(
                task.request_id, task.active, self.reader.model.card, task.answered, along
            )
            self._counts.count_comparison(comparison)
            for listener in self._listeners:
                listener(comparison)
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            _log.error("the shadow can't read a film", exc_info=error)
            self._counts.count_unread("failed")

    def _ask(self, film: Film) -> Said:
        seen: list[Film] = []
        judgement = None
        with contextlib.suppress(NotAChestXray):
            judgement = self.reader.read_again(film, seen.append)
        return Said.of(seen[0].outputs.probabilities, judgement)
