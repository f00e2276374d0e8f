"""The process that listens on the DICOM port: little memory, no model, no key to anything else."""

import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity

from app.exchange.caller_list import CallerList
from app.exchange.dimse.association_server import REQUEST_S, AssociationServer, TlsContext
from app.exchange.dimse.film_receiver import FilmReceiver, Queue
from app.exchange.dimse.offered_contexts import make_contexts
from app.exchange.dimse.pdu_socket import MOST_PDU_BYTES
from app.exchange.dimse.pynetdicom_logs import quiet_pynetdicom
from app.exchange.dimse.receiving_folder import prepare_folder
from app.settings.settings import Settings

_log = logging.getLogger("neumo.dimse")

_TURN_S: Final = 0.1
_STACK_BYTES: Final = 2**21
"""Of a thread: there may be a hundred, and they count as memory whether used or not."""
_ENDED: Final = 1


class Listener:
    """Takes films until it is told to stop, or its parent is gone.

    Parameters
    ----------
    open_queue : called in this process, which may use the queue itself only
    known, here : SHA-256 of models, as `FilmReceiver` takes them
    """

    def __init__(
        self,
        settings: Settings,
        open_queue: Callable[[], Queue],
        known: Collection[str],
        here: Collection[str],
        tls: TlsContext | None,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._parent = os.getppid()
        self._stopped = threading.Event()
        _limit_memory(settings.dicom_memory_bytes)
        quiet_pynetdicom()
        threading.excepthook = _tell_failure
        _config.STORE_RECV_CHUNKED_DATASET = True
        _config.ENFORCE_UID_CONFORMANCE = True
        prepare_folder(Path(settings.exchange_folder))
        callers = CallerList.of(settings)
        self._handlers = FilmReceiver(open_queue(), known, here, callers).handlers

    def run(self, sockets: list[socket.socket]) -> None:
        """Serve on the one socket that is given; return when it is over."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        (listener,) = sockets
        server = self._build(listener)
        accepting = threading.Thread(target=server.serve_forever, args=(_TURN_S,), daemon=True)
        accepting.start()
        while not self._stopped.wait(_TURN_S):
            if not accepting.is_alive():
                _log.critical("the port is not listened on any more")
                os._exit(_ENDED)
            if os.getppid() != self._parent:
                break
        server.stop(self._settings.shutdown_grace_s)
        os._exit(0)  # or pynetdicom's threads would be waited for, however long they hang

    def _build(self, listener: socket.socket) -> AssociationServer:
        threading.stack_size(_STACK_BYTES)
        settings = self._settings
        entity = ApplicationEntity(settings.ae_title)
        entity.supported_contexts = make_contexts()
        entity.require_called_aet = True
        entity.maximum_pdu_size = MOST_PDU_BYTES
        # The server counts by itself: here connections that were rejected would count too.
        entity.maximum_associations = 2 * settings.dicom_associations
        entity.acse_timeout = REQUEST_S
        entity.dimse_timeout = entity.network_timeout = settings.dicom_timeout_s
        return AssociationServer(entity, listener, settings, self._handlers, self._tls)


def _tell_failure(failure: threading.ExceptHookArgs) -> None:
    """Log where a thread of pynetdicom failed; by itself Python would print what was quoted."""
    kind, trace = failure.exc_type, failure.exc_traceback
    _log.error("a thread failed", exc_info=(kind, kind(), trace))


def _limit_memory(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
