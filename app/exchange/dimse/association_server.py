"""The front of the DICOM port: no association before its request is there, whole and welcome.

To pynetdicom a connection is an association at once: two threads that wake a thousand times a
second, a place among those that may be open, and, in TLS, a handshake that all others wait for.
Here a connection that says nothing costs a sleeping thread for a few seconds, and where many do,
the oldest of them gives way; who is not allowed is rejected in ten bytes.
"""

import logging
import socket
import ssl
import struct
import sys
import threading
import time
from functools import partial
from socketserver import BaseServer
from typing import Any, Final, Protocol

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from app.exchange.caller_list import CallerList
from app.exchange.dimse.pdu_socket import PduSocket, receive
from app.exchange.dimse.receiving_folder import forget_unhandled, note_message
from app.exchange.dimse.waiting_connections import WaitingConnections
from app.settings.exchange_settings import ExchangeSettings

_log = logging.getLogger("neumo.dimse")

REQUEST_S: Final = 5.0
"""In which a connection has to have asked for an association, its TLS handshake included."""
_MOST_WAITING: Final = 64
_MOST_REQUEST_BYTES: Final = 2**17  # 128 contexts with all transfer syntaxes are some 100 kB
_HEAD: Final = struct.Struct(">BxL")
_ASSOCIATE_RQ: Final = 1
_LEAST_REQUEST_BYTES: Final = 68  # PS3.8 table 9-11, up to the variable items
_CALLED: Final = slice(10, 26)
_CALLING: Final = slice(26, 42)
_LINGER_S: Final = 1.0
_TURN_S: Final = 0.05
_LOG_EVERY_S: Final = 1.0

# Result, source and reason of A-ASSOCIATE-RJ (PS3.8 section 9.3.4).
_CALLER_UNKNOWN: Final = (1, 1, 3)
_CALLED_UNKNOWN: Final = (1, 1, 7)
_TOO_MANY: Final = (2, 3, 2)

Handlers = list[EventHandlerType]


class TlsContext(Protocol):
    """What new connections are wrapped by."""

    context: ssl.SSLContext

    def look(self) -> None:
        """Take another context if its files have changed."""


class AssociationServer(ThreadedAssociationServer):
    """Serves associations on a socket that was bound before.

    Parameters
    ----------
    listener : stays its maker's: closing this server leaves it open there
    tls : None where there is none
    """

    daemon_threads = True
    ae: ApplicationEntity

    def __init__(
        self,
        entity: ApplicationEntity,
        listener: socket.socket,
        settings: ExchangeSettings,
        handlers: Handlers,
        tls: TlsContext | None = None,
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._title = settings.ae_title
        self._callers = CallerList.of(settings)
        self._most = settings.dicom_associations
        self.film_bytes = settings.dicom_film_bytes
        self.timeout_s = settings.dicom_timeout_s
        self._lock = threading.Lock()
        self._waiting = WaitingConnections(_MOST_WAITING, REQUEST_S)
        self._told_s = -float("inf")
        super().__init__(
            entity,
            listener.getsockname(),
            settings.ae_title,
            entity.supported_contexts,
            evt_handlers=[*handlers, (evt.EVT_DIMSE_RECV, note_message)],
            request_handler=_Handler,
        )

    def server_bind(self) -> None:
        """Take the socket that was given."""
        assert self.socket is not None  # noqa: S101 - socketserver has made one
        self.socket.close()
        self.socket = self._listener

    def server_activate(self) -> None:
        """Leave it to who bound it to listen, so that callers wait while this is replaced."""

    def server_close(self) -> None:
        """Stop accepting, here."""
        self._listener.close()

    def stop(self, grace_s: float) -> None:
        """Accept no more; let associations end by themselves for a while, and then abort them."""
        BaseServer.shutdown(self)
        self.server_close()
        until_s = time.monotonic() + grace_s
        while self.active_associations and time.monotonic() < until_s:
            time.sleep(_TURN_S)
        cut = self.active_associations
        if cut:
            _log.warning("associations are aborted", extra={"members": {"count": len(cut)}})
        for association in cut:
            association.abort()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and no more than that: a handshake would hold up all others."""
        connection, address = self._listener.accept()
        return connection, address

    def service_actions(self) -> None:
        """End connections that have been waited for long enough."""
        super().service_actions()
        self._waiting.end_late()

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Wait for the request for an association; begin one if it is welcome."""
        ticket, connection = self._waiting.enter(request), request
        try:
            if self._tls is not None:
                connection = self._shake_hands(ticket, request)
            first = _read_request(connection)
            with self._lock:
                reason = self._find_reason(first, client_address[0])
                if reason is None and self._waiting.leave(ticket):
                    self.finish_request((connection, first), client_address)  # type: ignore[arg-type]
                    return
            if reason is not None:
                members = dict(zip(("result", "source", "reason"), reason, strict=True))
                self._tell("an association is rejected", **members)
                _reject(connection, reason)
        except Exception as error:  # noqa: BLE001 - whatever it is, others are served
            self._tell("a connection came to no association", cause=type(error).__name__)
        finally:
            self._waiting.leave(ticket)
        self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Log that a connection could not even be waited for, where no thread can be started."""
        self._tell("a connection can't be taken", cause=getattr(sys.exc_info()[0], "__name__", ""))

    def _shake_hands(self, ticket: int, request: socket.socket) -> ssl.SSLSocket:
        assert self._tls is not None  # noqa: S101 - asked before
        self._tls.look()
        connection = self._tls.context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        )
        self._waiting.wrap(ticket, connection)
        connection.settimeout(REQUEST_S)
        connection.do_handshake()
        return connection

    def _find_reason(self, first: bytes, address: str) -> tuple[int, int, int] | None:
        """Return why a request is rejected; None if it is welcome."""
        called, calling = (
            first[part].decode("ascii", "replace").strip() for part in (_CALLED, _CALLING)
        )
        if called != self._title.strip():
            return _CALLED_UNKNOWN
        if not self._callers.allows(calling, address):
            return _CALLER_UNKNOWN
        return _TOO_MANY if len(self.active_associations) >= self._most else None

    def _tell(self, what: str, **members: object) -> None:
        """Log what a stranger can cause as often as it likes, once a second."""
        now_s = time.monotonic()
        with self._lock:
            told, self._told_s = now_s - self._told_s < _LOG_EVERY_S, now_s
        if not told:
            _log.warning(what, extra={"members": members})


class _Handler(RequestHandler):
    """Makes an association of a connection and of the request that came over it."""

    server: AssociationServer

    def _create_association(self) -> Association:
        self.request, first = self.request
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # a socket says that it is there as it is made
        association.dul.socket = PduSocket(
            association,
            self.request,
            first,
            most_bytes=self.server.film_bytes,
            timeout_s=self.server.timeout_s,
        )
        association.run = partial(_run, association)  # type: ignore[method-assign]
        return association


def _run(association: Association) -> None:
    """Run an association in its thread, and leave nothing of it behind."""
    try:
        Association.run(association)
    finally:
        forget_unhandled(association)


def _read_request(connection: socket.socket) -> bytes:
    """Read the A-ASSOCIATE-RQ that a connection begins with.

    Raises
    ------
    ValueError
        If it begins with something else.
    OSError
    """
    head = receive(connection, _HEAD.size, REQUEST_S)
    if len(head) < _HEAD.size:
        raise ConnectionResetError
    kind, length = _HEAD.unpack(head)
    if kind != _ASSOCIATE_RQ or not _LEAST_REQUEST_BYTES <= length <= _MOST_REQUEST_BYTES:
        raise ValueError("no request for an association")
    body = receive(connection, length, REQUEST_S)
    if len(body) < length:
        raise ConnectionResetError
    return bytes(head + body)


def _reject(connection: socket.socket, reason: tuple[int, int, int]) -> None:
    """Send A-ASSOCIATE-RJ, and let it arrive: what is closed with bytes unread is reset."""
    connection.settimeout(_LINGER_S)
    connection.sendall(struct.pack(">BxLxBBB", 3, 4, *reason))
    connection.recv(1)
