"""What the queue takes and gives: films, results, deliveries, counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

Way = Literal["dimse", "stow", "wado", "file"]
"""How a film came; by wado Neumo fetched it itself."""

Kind = Literal["sr", "sc", "fhir", "hl7"]
Outcome = Literal["read", "refused", "failed"]
FilmState = Literal["waiting", "read", "refused", "failed"]
DeliveryState = Literal["waiting", "delivered", "dead"]


class MadeResult(Protocol):
    """One object of a result, as `app.render.hospital.result_set.Result` is."""

    @property
    def kind(self) -> Kind:
        """Which of a film's results it is."""

    @property
    def uid(self) -> str:
        """SOP Instance UID."""

    @property
    def media_type(self) -> str:
        """Of `data`."""

    @property
    def data(self) -> bytes:
        """What is sent."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A film that is on disk.

    Parameters
    ----------
    again : this SOP instance was kept before, and the film of `id` is that one
    """

    id: str
    again: bool


@dataclass(frozen=True, slots=True)
class QueuedFilm:
    """A film that was taken to be read.

    Parameters
    ----------
    attempts : this one counted
    """

    id: str
    sop_uid: str
    study_uid: str
    way: Way
    received_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A result that was taken to be sent.

    Parameters
    ----------
    partner : as `Outbox.finish` was given it
    attempts : this one counted
    """

    id: str
    film_id: str
    partner: str
    kind: Kind
    uid: str
    media_type: str
    data: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One object of a result that is kept."""

    kind: Kind
    uid: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredReading:
    """What is kept of a film.

    Parameters
    ----------
    state : waiting: not read yet; refused and failed have no reading
    code : why it was refused or failed
    reading : as `Outbox.finish` was given it
    """

    film_id: str
    sop_uid: str
    study_uid: str
    received_at: datetime
    state: FilmState
    code: str | None
    reading: bytes | None
    results: Mapping[Kind, StoredResult]


@dataclass(frozen=True, slots=True)
class FilmRow:
    """A film as an operator sees it: nothing that names a patient.

    Parameters
    ----------
    bytes : on disk, of the film while it waits and of its results then
    """

    id: str
    way: Way
    state: FilmState
    code: str | None
    attempts: int
    received_at: datetime
    finished_at: datetime | None
    bytes: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as an operator sees it: nothing that names a patient.

    Parameters
    ----------
    code : of the last attempt that failed
    since : it waits, or waited
    due_at : of the next attempt, while it waits
    changed_at : of the last attempt; of the reading before the first
    """

    id: str
    film_id: str
    partner: str
    kind: Kind
    state: DeliveryState
    code: str | None
    attempts: int
    since: datetime
    due_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much lies in the queue.

    Parameters
    ----------
    deliveries : by partner and state
    oldest_film, oldest_delivery : how long what waits longest has waited; None if nothing does
    bytes : of films and results
    waiting_bytes : of those that can't make room yet: films not read, results not delivered
    """

    films: Mapping[FilmState, int]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_film: timedelta | None
    oldest_delivery: timedelta | None
    bytes: int
    waiting_bytes: int
