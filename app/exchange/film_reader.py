"""Films of the queue are read as any other film, and results made of them, once."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from app.errors import (
    DeadlineExceeded,
    FilmLost,
    InternalError,
    NeumoError,
    NotReady,
    Overloaded,
    QueueFull,
    RecordsFull,
    RequestError,
    StudyUnknown,
)
from app.exchange.partners.sending import Partner
from app.language import Language
from app.reading.population import NOBODY
from app.reading.reading import Reading
from app.records.outbox.film_queue import MOST_ATTEMPTS
from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_entries import QueuedFilm
from app.render.hospital.result_set import Result, make_results
from app.render.hospital.source_image import read_source_image
from app.render.reading_json import render_reading
from app.service.service import Service
from app.service.witness import Origin

_log = logging.getLogger("neumo.exchange")

TURN_S: Final = 0.2
"""How often it looks whether a film has come."""

_PAUSE_S: Final = 1.0
"""After what is no fault of the film: the service is not ready, or the disk is full."""

_NOT_NOW: Final = (NotReady, Overloaded, QueueFull, RecordsFull)


class FilmReader:
    """Reads one film after the other, in the order that they came.

    Parameters
    ----------
    service : that is started
    partners : that get results
    language : of their texts
    on_finish : called when there are new results
    """

    def __init__(
        self,
        service: Service,
        outbox: Outbox,
        partners: Sequence[Partner],
        language: Language,
        on_finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._service, self._outbox = service, outbox
        self._partners = {partner.name: tuple(partner.kinds) for partner in partners}
        self._language, self._on_finish = language, on_finish
        self._taken: str | None = None
        """A film of which the queue was not told yet what came of it."""

    async def run(self, stopped: asyncio.Event) -> None:
        """Read what comes, until stopped; the film that is being read is finished."""
        while not stopped.is_set():
            pause_s = _PAUSE_S
            try:
                pause_s = await self.read_next()
            except RequestError as error:  # of the queue
                _log.error("the queue can't be used", extra={"members": {"code": error.code}})
            if pause_s:
                try:
                    async with asyncio.timeout(pause_s):
                        await stopped.wait()
                except TimeoutError:
                    continue

    async def read_next(self) -> float:
        """Read the film that has waited longest; return how long to wait before the next.

        Raises
        ------
        QueueAway, QueueFull
        """
        if self._taken is not None:  # nobody else would take it while this process lives
            await asyncio.to_thread(self._outbox.give_back, self._taken)
            self._taken = None
        film = await asyncio.to_thread(self._outbox.take)
        if film is None:
            return TURN_S
        self._taken = film.id
        pause_s = await self._read_one(film)
        self._taken = None
        return pause_s

    async def _read_one(self, film: QueuedFilm) -> float:
        """Read a film that was taken; return how long to wait before the next.

        Raises
        ------
        QueueAway, QueueFull
            If the queue can't be told what came of it.
        """
        begun_s = time.perf_counter()
        try:
            await self._read(film, begun_s)
        except _NOT_NOW:
            await asyncio.to_thread(self._outbox.give_back, film.id)
            return _PAUSE_S
        except StudyUnknown as error:
            await self._end(film, "refused", error)
        except FilmLost as error:
            await self._end(film, "failed", error)
        except RequestError as error:
            if not _is_of_the_film(error):
                return await self._try_again(film, error)
            await self._end(film, "refused", error)
        except Exception as error:  # noqa: BLE001 - the next film has to be read
            _log.error("a film can't be read", exc_info=error)
            return await self._try_again(film, InternalError())
        return 0.0

    async def _read(self, film: QueuedFilm, begun_s: float) -> None:
        data = await asyncio.to_thread(self._outbox.film, film.id)
        origin = Origin(request_id=film.id, call=film.way)
        admission = self._service.admission
        with admission.admit(len(data), _never) as claim:
            admission.hold(claim, len(data))
            reading = await self._service.read(data, NOBODY, claim, origin=origin)
            results = await self._service.render(lambda: self._make(reading, data), claim)
        took_ms = 1e3 * (time.perf_counter() - begun_s)
        answer = render_reading(reading, film.id, self._language, took_ms)
        is_first = await asyncio.to_thread(
            lambda: self._outbox.finish(
                film.id,
                outcome="read",
                reading=answer.model_dump_json(exclude_none=True).encode(),
                results=results,
                partners=self._partners,
                model=reading.card.sha256,
            )
        )
        _tell("read", film, took_ms=round(took_ms, 1), is_first=is_first)
        self._on_finish()

    def _make(self, reading: Reading, data: bytes) -> list[Result]:
        return make_results(reading, read_source_image(data), self._language, datetime.now(UTC))

    async def _try_again(self, film: QueuedFilm, error: NeumoError) -> float:
        """Read it again, unless it was tried often enough; return how long to wait."""
        if film.attempts >= MOST_ATTEMPTS:
            await self._end(film, "failed", error)
            return 0.0
        await asyncio.to_thread(lambda: self._outbox.give_back(film.id, counts=True))
        _tell("to be read again", film, code=error.code)
        return _PAUSE_S

    async def _end(self, film: QueuedFilm, outcome: str, error: NeumoError) -> None:
        """Write down that nothing is said of this film."""
        await asyncio.to_thread(
            lambda: self._outbox.finish(
                film.id,
                outcome="refused" if outcome == "refused" else "failed",
                code=error.code,
                partners={},
                model=self._service.reader.model.card.sha256,
            )
        )
        _tell(outcome, film, code=error.code)


def _is_of_the_film(error: RequestError) -> bool:
    """Whether reading the film again would end the same way."""
    return error.status < InternalError.status and not isinstance(error, DeadlineExceeded)


async def _never() -> None:
    """Wait for a caller that can't go: nobody holds a connection."""
    await asyncio.Event().wait()


def _tell(what: str, film: QueuedFilm, **members: object) -> None:
    members = {"film": film.id, "way": film.way, "attempts": film.attempts, **members}
    _log.info(what, extra={"members": members})
