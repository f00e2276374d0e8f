"""``neumo health``: ask a running service, with nothing but the standard library."""

import http.client
import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import ssl


RECEIVE_FILE = "receive.health"
"""In the folder of the exchange; `app.server.receiving.exchange_supervisor` writes it."""
_RECEIVE_LATE_S = 10.0


# Not through `Settings`, which takes long to import: this runs every few seconds.
# 0.0.0.0, which a container listens on, can be asked too.
@click.command()
@click.argument(
    "check", type=click.Choice(("live", "ready", "startup", "receive")), default="ready"
)
@click.option(
    "--host",
    default=lambda: os.environ.get("NEUMO_HOST") or "127.0.0.1",
    show_default="NEUMO_HOST, or 127.0.0.1",
    help="Where the service listens.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=lambda: find_port(os.environ.get("NEUMO_PORT", "")),
    show_default="NEUMO_PORT, or what the container was given, or 8000",
    help="Its TCP port.",
)
@click.option("--timeout", type=float, default=2.0, show_default=True, help="Seconds to wait.")
@click.option(
    "--tls-cert",
    default=lambda: os.environ.get("NEUMO_TLS_CERT") or find_flag("--tls-cert"),
    show_default="NEUMO_TLS_CERT, or what the container was given",
    help="The service's certificate: HTTPS is spoken, and this certificate shown if one is asked "
    "for.",
)
@click.option(
    "--tls-key",
    default=lambda: os.environ.get("NEUMO_TLS_KEY") or find_flag("--tls-key"),
    show_default="NEUMO_TLS_KEY, or what the container was given",
    help="Its key.",
)
@click.option(
    "--exchange-folder",
    default=lambda: os.environ.get("NEUMO_EXCHANGE_FOLDER") or find_flag("--exchange-folder"),
    show_default="NEUMO_EXCHANGE_FOLDER, or what the container was given",
    help="Of receive: where neumo receive says how it is.",
)
def command(
    check: str,
    host: str,
    port: int,
    timeout: float,
    tls_cert: str,
    tls_key: str,
    exchange_folder: str,
) -> int:
    """Ask a running service how it is: exit code 0 if it is well, 1 if not.

    ready: it can read a film now; live: it answers at all; startup: its model is loaded; receive:
    of neumo receive, which speaks no HTTP, whether all its processes are up.
    """
    if check == "receive":
        return _check_receive(exchange_folder)
    connection = None
    try:
        connection = open_connection(host, port, timeout, tls_cert, tls_key)
        connection.request("GET", f"/health/{check}")
        status = connection.getresponse().status
    except OSError as error:
        click.echo(f"no answer on {host}:{port}: {error.strerror or error}")
        return 1
    except http.client.HTTPException:
        click.echo(f"port {port} answers, but not in HTTP: it is not neumo")
        return 1
    finally:
        if connection is not None:
            connection.close()
    click.echo(f"{check}: {status}")
    return 0 if status == http.client.OK else 1


def _check_receive(folder: str) -> int:
    """Look at the file that `neumo receive` writes anew every second."""
    if not folder:
        raise click.UsageError("--exchange-folder, or NEUMO_EXCHANGE_FOLDER, says where to look")
    file = Path(folder) / RECEIVE_FILE
    try:
        age_s = time.time() - file.stat().st_mtime
        parts: dict[str, str] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        click.echo("receive: not running")
        return 1
    if age_s > _RECEIVE_LATE_S:
        click.echo(f"receive: silent for {age_s:.0f} s")
        return 1
    click.echo("receive: " + ", ".join(f"{name} {state}" for name, state in parts.items()))
    return 0 if set(parts.values()) == {"up"} else 1


def open_connection(
    host: str, port: int, timeout_s: float, tls_cert: str = "", tls_key: str = ""
) -> http.client.HTTPConnection:
    """Return a connection to the service, which connects when it is first asked something.

    Raises
    ------
    OSError
        If the certificate or its key can't be read.
    """
    if not tls_cert:
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    context = _context(tls_cert, tls_key)
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def find_port(variable: str, first_process: Path = Path("/proc/1/cmdline")) -> str:
    """Return where the service listens: by NEUMO_PORT, or the flags that a container was given.

    A Kubernetes service link in NEUMO_PORT is no port: see `app.settings.settings`.
    """
    if variable and "://" not in variable:
        return variable
    return find_flag("--port", first_process) or "8000"


def find_flag(flag: str, first_process: Path = Path("/proc/1/cmdline")) -> str:
    """Return what a container's service was given for a flag; empty if nothing."""
    try:
        arguments = first_process.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        arguments = []
    if "serve" in arguments or "receive" in arguments:
        for name, value in pairwise([*arguments, ""]):
            if name == flag:
                return value
            if name.startswith(f"{flag}="):
                return name.removeprefix(f"{flag}=")
    return ""


def _context(cert: str, key: str) -> "ssl.SSLContext":
    """Return how to speak with the service whoever it says it is.

    Nothing is told to it, and its name is seldom that of this machine's own address. A certificate
    that has expired makes it unreachable for others, and is no reason to restart it.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(cert, key or None, password="")
    return context
