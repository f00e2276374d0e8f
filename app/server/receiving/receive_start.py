"""`neumo receive`: what has to be right before a film may come, and then the processes."""

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.errors import (
    AccessError,
    BundleError,
    DicomExposed,
    DicomTlsUnusable,
    ExchangeError,
    RecordsError,
    TlsUnusable,
)
from app.machine import tune_allocator
from app.server.port import PORT_TAKEN, bind_port
from app.server.receiving.exchange_supervisor import ExchangeSupervisor, Part
from app.server.tls import Tls
from app.server.worker import STARTUP_FAILURE, Servable
from app.service.logs import configure_logging
from app.settings.access_settings import is_loopback
from app.settings.settings import Settings, remark_on

if TYPE_CHECKING:
    from app.records.outbox.outbox import Outbox

_log = logging.getLogger("neumo.exchange")

_BACKLOG: Final = 128
"""Connections that the kernel accepts while the process that listens is replaced."""


def receive(settings: Settings, *, listen: bool = True) -> int:
    """Take, read and deliver films until SIGTERM or SIGINT; return the process's exit code.

    Parameters
    ----------
    listen : False: only what other doors have put into the queue is read and delivered
    """
    configure_logging(settings.log_level)
    for remark in remark_on(os.environ):
        _log.warning("a variable is no setting", extra={"members": {"remark": remark}})
    tune_allocator()
    parts = []
    port = None
    try:
        prepare_queue(settings)
        if listen:
            tls = prepare_access(settings)
    except (AccessError, ExchangeError) as error:
        _log.critical(str(error), extra={"members": {"code": error.code}})
        return error.exit_code
    if listen:
        port = bind_port(settings.dicom_host, settings.dicom_port, _log, tls=tls is not None)
        if port is None:
            return PORT_TAKEN
        port.listen(_BACKLOG)
        parts.append(Part("listener", lambda: _build_listener(settings, tls), port))
    parts.append(Part("reader", lambda: _build_reader(settings, port)))
    return ExchangeSupervisor(
        parts,
        Path(settings.exchange_folder),
        timeout_s=settings.worker_timeout_s,
        grace_s=settings.shutdown_grace_s,
    ).run()


def prepare_queue(settings: Settings) -> None:
    """See that the queue and the partners can be used; each process opens them for itself.

    Raises
    ------
    ExchangeError
    """
    from app.exchange.partners.partner_address import parse_partners  # noqa: PLC0415 - of an extra

    parse_partners(settings.partners)
    _open_queue(settings).close()


def prepare_access(settings: Settings) -> Tls | None:
    """See who gets in, and by which certificate.

    Raises
    ------
    AccessError
    """
    tls = None
    if settings.dicom_tls_cert_file:
        as_of_http = {
            "tls_cert": settings.dicom_tls_cert_file,
            "tls_key": settings.dicom_tls_key_file,
            "tls_client_ca": settings.dicom_tls_ca_file,
            "tls_client_auth": "required",
        }
        try:
            tls = Tls(settings.model_copy(update=as_of_http))
        except TlsUnusable as error:
            raise DicomTlsUnusable(**error.facts) from None
    certified = tls is not None and bool(settings.dicom_tls_ca_file)
    if not is_loopback(settings.dicom_host):
        asks = certified or settings.dicom_insecure_no_tls
        if not (settings.dicom_callers and asks):
            raise DicomExposed(host=settings.dicom_host)
    if not settings.dicom_callers:
        _log.info("nobody is asked for a title", extra={"members": {"host": settings.dicom_host}})
    return tls


def _open_queue(settings: Settings) -> "Outbox":
    from app.records.outbox.outbox import Outbox  # noqa: PLC0415 - brings a database's libraries

    return Outbox.of(settings)


def _build_listener(settings: Settings, tls: Tls | None) -> Servable:
    from app.exchange.dimse.listener import Listener  # noqa: PLC0415 - of an extra

    return Listener(settings, lambda: _open_queue(settings), *find_models(settings), tls)


def _build_reader(settings: Settings, port: socket.socket | None) -> Servable:
    from app.exchange.reading_process import ReadingProcess  # noqa: PLC0415 - of an extra

    if port is not None:
        port.close()  # inherited: callers would wait at it for as long as this process drains
    try:
        return ReadingProcess(settings)
    except (BundleError, ExchangeError, RecordsError) as error:
        members: dict[str, object] = {"code": error.code, "detail": error.detail("en")}
        _log.critical("films can't be read", extra={"members": members})
        os._exit(STARTUP_FAILURE)


def find_models(settings: Settings) -> tuple[set[str], set[str]]:
    """Return the hashes of the models whose results are known, and of those that read here.

    None if cards are wanting: that is told by the process that reads.
    """
    from app.exchange.reconcile import known_models, models_here  # noqa: PLC0415 - of an extra

    try:
        return known_models(settings.bundles), models_here(settings.bundles)
    except BundleError:
        return set(), set()
