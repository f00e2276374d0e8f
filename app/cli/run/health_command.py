"""``neumo health``: ask a running service, with nothing but the standard library."""

import argparse
import http.client
import os
import sys
from itertools import pairwise
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add which check, and where the service listens."""
    parser.set_defaults(run=_run)
    parser.add_argument("check", nargs="?", choices=("live", "ready", "startup"), default="ready")
    # Not through `Settings`, which takes long to import: this runs every few seconds.
    # 0.0.0.0, which a container listens on, can be asked too.
    parser.add_argument("--host", default=os.environ.get("NEUMO_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=_find_port(os.environ.get("NEUMO_PORT", "")))
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds")


def _run(options: argparse.Namespace) -> int:
    connection = http.client.HTTPConnection(options.host, options.port, timeout=options.timeout)
    try:
        connection.request("GET", f"/health/{options.check}")
        status = connection.getresponse().status
    except OSError as error:
        sys.stdout.write(f"no answer: {error.strerror or type(error).__name__}\n")
        return 1
    except http.client.HTTPException:
        sys.stdout.write(f"port {options.port} answers, but not in HTTP: it is not neumo\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{options.check}: {status}\n")
    return 0 if status == http.client.OK else 1


def _find_port(variable: str, first_process: Path = Path("/proc/1/cmdline")) -> str:
    """Return where the service listens: by NEUMO_PORT, or the flags that a container was given.

    A Kubernetes service link in NEUMO_PORT is no port: see `app.settings.settings`.
    """
    if variable and "://" not in variable:
        return variable
    try:
        arguments = first_process.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        arguments = []
    if "serve" in arguments:
        for name, value in pairwise([*arguments, ""]):
            if name == "--port":
                return value
            if name.startswith("--port="):
                return name.removeprefix("--port=")
    return "8000"
