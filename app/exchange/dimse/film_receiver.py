"""C-STORE and C-ECHO: a film is answered with Success once it lies in the queue, safe on disk."""

import logging
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal, Protocol, cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import EventHandlerType

from app.errors import NeumoError
from app.exchange.caller_list import CallerList
from app.exchange.dimse.pdu_socket import PduSocket
from app.exchange.film_sort import sort_class, sort_film

_log = logging.getLogger("neumo.dimse")

# PS3.4 table B.2-1
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
NOT_UNDERSTOOD: Final = 0xC000


class Kept(Protocol):
    """What the queue says of a film that it has kept."""

    @property
    def id(self) -> str: ...  # noqa: D102

    @property
    def again(self) -> bool: ...  # noqa: D102


class Queue(Protocol):
    """Where films are kept until they are read."""

    def keep(
        self,
        data: bytes,
        *,
        sop_uid: str,
        study_uid: str,
        way: Literal["dimse"],
        models: Collection[str],
    ) -> Kept:
        """Keep a film; raise a `RequestError` where that can't be done now."""


class FilmReceiver:
    """Handles what associations ask for.

    Parameters
    ----------
    known : SHA-256 of models whose results `sort_film` knows among the instances that come
    here : of those that read here: the queue reads anew what another model read
    callers : whose titles may stand in a log, since they stand in the settings
    """

    def __init__(
        self, queue: Queue, known: Collection[str], here: Collection[str], callers: CallerList
    ) -> None:
        self._queue = queue
        self._known, self._here = known, here
        self._callers = callers
        self._one_at_a_time = threading.Lock()  # a film is in memory twice while it is kept

    @property
    def handlers(self) -> list[EventHandlerType]:
        """What pynetdicom calls."""
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, self._echo)]

    def _echo(self, event: evt.Event) -> int:
        _handled(event)
        return SUCCESS

    def _store(self, event: evt.Event) -> int:
        begun_s = time.monotonic()
        path = event.dataset_path
        members: dict[str, object] = {"caller": self._caller(event)} if self._callers else {}
        try:
            status = self._take(event, path, members)
        except (MemoryError, OSError) as error:
            members["cause"] = type(error).__name__
            status = OUT_OF_RESOURCES
        finally:
            path.unlink(missing_ok=True)
            _handled(event, path)
        members |= {"status": f"{status:#06x}", "ms": round(1e3 * (time.monotonic() - begun_s), 1)}
        _log.log(
            logging.INFO if status == SUCCESS else logging.WARNING,
            "stored" if status == SUCCESS else "not stored",
            extra={"members": members},
        )
        return status

    def _take(self, event: evt.Event, path: Path, members: dict[str, object]) -> int:
        """Return the status of one object; add to `members` what is logged of it."""
        request = cast("C_STORE", event.request)
        if sort_class(str(request.AffectedSOPClassUID)) == "drop":
            members["dropped"] = True
            return SUCCESS
        with self._one_at_a_time:
            data = path.read_bytes()
            members["bytes"] = len(data)
            told = sort_film(data, self._known)
            if told.verdict == "drop":
                members["dropped"] = True
                return SUCCESS
            if told.error is not None:
                members["code"] = told.error.code
                return NOT_UNDERSTOOD
            said = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
            if said != (told.sop_class, told.sop_uid):
                members["code"] = "uids_differ"
                return DOES_NOT_MATCH
            try:
                kept = self._queue.keep(
                    data,
                    sop_uid=told.sop_uid,
                    study_uid=told.study_uid,
                    way="dimse",
                    models=self._here,
                )
            except NeumoError as error:
                members["code"] = error.code
                return OUT_OF_RESOURCES
        members |= {"film": kept.id, "again": kept.again}
        return SUCCESS

    def _caller(self, event: evt.Event) -> str:
        return str(event.assoc.requestor.ae_title).strip()


def _handled(event: evt.Event, file: Path | None = None) -> None:
    connection = event.assoc.dul.socket
    if isinstance(connection, PduSocket):
        connection.handled(file)
