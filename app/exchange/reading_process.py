"""The process that reads the queue and delivers results, until it is told to stop."""

import asyncio
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

from app.errors import NeumoError
from app.exchange.deliverer import Deliverer, DeliveryRules
from app.exchange.film_reader import FilmReader
from app.exchange.partners.partner_list import open_partners
from app.records.outbox.outbox import Outbox
from app.service.service import LoadModel, Phase, Service, load_model_from
from app.settings.settings import Settings

if TYPE_CHECKING:
    from app.records.records import Records

_log = logging.getLogger("neumo.exchange")

CANT_START: Final = 3
_SWEEP_S: Final = 600.0
_PARENT_S: Final = 0.5


class ReadingProcess:
    """Reads and delivers, in a process of its own: a film that kills it costs no other.

    Raises
    ------
    ExchangeError, RecordsError, BundleError
    """

    def __init__(self, settings: Settings, load_model: LoadModel = load_model_from) -> None:
        self._settings = settings
        self._parent = os.getppid()
        self._outbox = Outbox.of(settings)
        partners = open_partners(settings)
        self._service = Service(settings, load_model, lambda: None)
        self._records = _keep_records(settings, self._service)
        rules = DeliveryRules(settings.delivery_attempts, settings.delivery_backoff_s)
        self._deliverer = Deliverer(self._outbox, partners, rules)
        self._reader = FilmReader(
            self._service,
            self._outbox,
            partners,
            settings.exchange_language,
            self._deliverer.wake,
        )

    def run(self, _: list[socket.socket]) -> None:
        """Read and deliver until SIGTERM or SIGINT, or until the parent is gone."""
        if not asyncio.run(self._run()):
            os._exit(CANT_START)

    async def _run(self) -> bool:
        """Return whether the model could be loaded."""
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        if self._records is not None:
            self._records.trail.start()
        self._deliverer.start()  # what is made needs no model to be sent
        await self._service.start()
        ready = self._service.phase is Phase.READY
        if ready:
            others = [
                asyncio.create_task(work)
                for work in (self._service.follow(), self._sweep(), self._watch_parent(stopped))
            ]
            await self._reader.run(stopped)
            for task in others:
                task.cancel()
        await asyncio.to_thread(self._stop)
        return ready

    def _stop(self) -> None:
        self._deliverer.stop(self._settings.shutdown_grace_s)
        self._service.stop()
        if self._records is not None:
            self._records.trail.stop()
        self._outbox.close()

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._outbox.sweep)
            except NeumoError as error:
                _log.error("the queue can't be swept", extra={"members": {"code": error.code}})
            await asyncio.sleep(_SWEEP_S)

    async def _watch_parent(self, stopped: asyncio.Event) -> None:
        while os.getppid() == self._parent:  # noqa: ASYNC110 - the kernel tells no event
            await asyncio.sleep(_PARENT_S)
        stopped.set()


def _keep_records(settings: Settings, service: Service) -> "Records | None":
    """Let the audit trail see what is read, if there is to be one."""
    if not settings.audit_folder:
        return None
    from app.records.records import Records  # noqa: PLC0415 - not always wanted

    records = Records(settings, service.metrics.registry, lambda: service.reader)
    service.witness = records.trail
    service.models.listeners.append(records.trail.saw_comparison)
    return records
