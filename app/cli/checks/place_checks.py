"""Where the service listens and writes: its port, the folder of temporary files."""

import errno
import http.client
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from app.cli.checks.finding import Finding
from app.cli.run.health_command import open_connection
from app.errors import AccessError, ChoiceUnusable, ExchangeError
from app.model.choice import read_choice
from app.model.registry import name_of
from app.settings.settings import Settings

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - as `app.server.supervisor` does
_ENOUGH_BYTES: Final = 50_000_000
_ASK_S: Final = 2.0


def check_port(settings: Settings) -> Finding:
    """Try to take the port, as the service would."""
    where = f"{settings.host}:{settings.port}"
    error = _try_port(settings.host, settings.port)
    if error is not None:
        return _explain_port(settings, where, error)
    told = f"{where} is free" if settings.port else f"a free one will be taken on {settings.host}"
    return Finding("port", "ok", told)


def _try_port(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError as error:
            return error
    return None


def _explain_port(settings: Settings, where: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE and _is_neumo(settings):
        advice = "Nothing, unless you want to start another: then choose another --port."
        return Finding("port", "warn", f"a Neumo answers on {where} already", advice)
    advice = {
        errno.EADDRINUSE: f"Stop what holds it (ss -ltnp 'sport = :{settings.port}'), or choose "
        "another --port.",
        errno.EACCES: "Choose a --port of 1024 or more, and let a proxy hold the low one.",
        errno.EADDRNOTAVAIL: "Set --host to an address of this machine; 0.0.0.0 is all of them.",
    }.get(error.errno or 0, "Set --host to an address of this machine.")
    reason = error.strerror or type(error).__name__
    return Finding("port", "fail", f"{where} can't be had ({reason})", advice)


def _is_neumo(settings: Settings) -> bool:
    connection = None
    try:
        connection = open_connection(
            settings.host, settings.port, _ASK_S, settings.tls_cert, settings.tls_key
        )
        connection.request("GET", "/health/live")
        return connection.getresponse().read(100) == b'{"status":"ok"}'
    except (OSError, http.client.HTTPException):
        return False
    finally:
        if connection is not None:
            connection.close()


def check_temporary_files(settings: Settings) -> Finding:
    """Look for the folder that workers share their metrics in, as the service does."""
    several = settings.worker_count > 1
    try:
        folder = _find_writable()
    except OSError:
        advice = "Set TMPDIR to a folder that can be written, or mount /dev/shm."
        told = "no folder for temporary files can be written"
        if not several:
            return Finding("temporary_files", "ok", f"{told}; one worker needs none")
        if settings.workers:
            return Finding(
                "temporary_files", "fail", f"{told}: workers share metrics there", advice
            )
        return Finding("temporary_files", "warn", f"{told}: only one worker will serve", advice)
    free = shutil.disk_usage(folder).free
    told = f"{folder} can be written, {free / 1e6:,.0f} MB free"
    if free < _ENOUGH_BYTES:
        advice = "Make room there, or set TMPDIR to another folder."
        return Finding("temporary_files", "warn", told, advice)
    return Finding("temporary_files", "ok", told)


def check_exchange(settings: Settings) -> Finding | None:
    """Look at the exchange's folder, key, partners and DICOM port; None if there is none."""
    if not settings.exchange_folder:
        return None
    folder = Path(settings.exchange_folder).absolute()
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        advice = "Point NEUMO_EXCHANGE_FOLDER at a folder that this user may write."
        return Finding("exchange", "fail", f"{folder} can't be written", advice)
    key = Path(settings.exchange_key_file or folder / "exchange.key")
    if key.exists() and not os.access(key, os.R_OK):
        return Finding("exchange", "fail", f"{key} can't be read", f"Let this user read {key}.")
    return _check_start(settings) or _check_dicom_port(settings, folder)


def _check_start(settings: Settings) -> Finding | None:
    """Try what `neumo receive` does before it takes films; a queue that isn't there is not made."""
    from importlib.util import find_spec

    from app.server.receiving.receive_start import prepare_access, prepare_queue

    try:
        if all(map(find_spec, ("cryptography", "httpx", "pynetdicom"))):
            from app.exchange.partners.partner_list import open_partners
            from app.records.outbox.queue_database import NAME

            for partner in open_partners(settings):
                partner.close()
            if (Path(settings.exchange_folder) / NAME).exists():
                prepare_queue(settings)
        prepare_access(settings)
    except (AccessError, ExchangeError) as error:
        what, _, advice = error.detail("en").partition(". ")
        return Finding("exchange", "fail", what, advice)
    return None


def _check_dicom_port(settings: Settings, folder: Path) -> Finding:
    port = f"{settings.dicom_host}:{settings.dicom_port}"
    refused = _try_port(settings.dicom_host, settings.dicom_port)
    if refused is not None:
        told = f"the DICOM port {port} can't be had ({refused.strerror})"
        advice = "Nothing, if that is neumo receive itself; else choose another NEUMO_DICOM_PORT."
        return Finding("exchange", "warn", told, advice)
    if not settings.exchange_key_file:
        told = f"the key of {folder} lies in it: who holds the folder can read its films"
        return Finding("exchange", "warn", told, "Set NEUMO_EXCHANGE_KEY_FILE to another place.")
    return Finding("exchange", "ok", f"{folder} can be written, the DICOM port {port} is free")


def check_model_choice(settings: Settings) -> Finding | None:
    """Look at the file that keeps which model is active; None if none is named."""
    if not settings.model_choice:
        return None
    path = Path(settings.model_choice).absolute()
    try:
        choice = read_choice(path)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except ChoiceUnusable as error:
        what, _, advice = error.detail("en").partition(". ")
        return Finding("model_choice", "fail", what, advice)
    except OSError as error:
        told = f"{path.parent} can't be written ({error.strerror}): models can't be switched"
        return Finding("model_choice", "warn", told, "Set NEUMO_MODEL_CHOICE to another folder.")
    told = f"{path.parent} can be written"
    names = [name_of(source) for source in settings.bundles]
    if choice is None or choice.instead_of != names[0] or choice.active not in names[1:]:
        return Finding("model_choice", "ok", told)
    since = choice.chosen_at.date()
    return Finding("model_choice", "ok", f"{told}; {choice.active} answers, by a switch on {since}")


def _find_writable() -> Path:
    """Return the folder of temporary files, or shared memory.

    Raises
    ------
    OSError
        If neither can be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="neumo-") as folder:
            return Path(folder).parent
    except OSError:
        with tempfile.TemporaryDirectory(prefix="neumo-", dir=_SHARED_MEMORY) as folder:
            return Path(folder).parent
