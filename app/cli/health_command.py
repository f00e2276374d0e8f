"""``neumo health``: ask a running service, with nothing but the standard library."""

import argparse
import http.client
import os
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add which check, and where the service listens."""
    parser.set_defaults(run=_run)
    parser.add_argument("check", nargs="?", choices=("live", "ready", "startup"), default="ready")
    # Not through `Settings`, which takes long to import: this runs every few seconds.
    # 0.0.0.0, which a container listens on, can be asked too.
    parser.add_argument("--host", default=os.environ.get("NEUMO_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=_port_of(os.environ.get("NEUMO_PORT", "")))
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


def _port_of(variable: str) -> str:
    """Return the port of NEUMO_PORT, as the settings read it: a Kubernetes service link is none."""
    return "8000" if not variable or "://" in variable else variable
