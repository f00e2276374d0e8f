"""The port that a parent holds for the processes that serve it."""

import logging
import socket
from typing import Final

PORT_TAKEN: Final = 4
"""Exit code where the port can't be had: another service holds it, or it may not be bound."""


def bind_port(host: str, port: int, log: logging.Logger, *, tls: bool) -> socket.socket | None:
    """Take a port, and say so; None, said too, where it can't be had. It is not open yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        members = {"host": host, "port": port, "reason": error.strerror}
        log.critical("can't listen", extra={"members": members})
        listener.close()
        return None
    listener.setblocking(False)
    members = {"host": host, "port": listener.getsockname()[1], "tls": tls}
    log.info("bound", extra={"members": members})
    return listener
