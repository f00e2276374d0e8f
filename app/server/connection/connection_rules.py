"""What every connection of a process keeps to: times, sizes, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass

from app.errors import RequestError
from app.server.connection.request_cycle import STATUS_LINES
from app.server.connection.request_parser import RawHeaders


@dataclass(slots=True)
class ConnectionRules:
    """What every connection of a process keeps to.

    Parameters
    ----------
    head_timeout_s : from the connection, or a head's first byte, to the head's end
    max_head_bytes : of the request line and the headers
    write_timeout_s : for a client to take some of an answer
    turn_away : says why a request of this method and path would be refused now, if it would
    refuse : renders the answer to what the application never sees, given the path (empty if there
        is none yet) and the headers: its headers and its body
    on_closed : called when a connection has ended
    draining : answers close their connection
    """

    head_timeout_s: float
    max_head_bytes: int
    write_timeout_s: float
    turn_away: Callable[[bytes, bytes], RequestError | None]
    refuse: Callable[[RequestError, bytes, RawHeaders], tuple[dict[str, str], bytes]]
    on_closed: Callable[[], None] = lambda: None
    draining: bool = False

    def problem(
        self,
        error: RequestError,
        path: bytes,
        headers: RawHeaders,
        default_headers: RawHeaders,
        *,
        close: bool,
    ) -> bytes:
        """Return the answer to what the application never sees, as it is sent."""
        fields, body = self.refuse(error, path, headers)
        head = [STATUS_LINES[error.status]]
        head += [b"%b: %b\r\n" % header for header in default_headers]
        head += [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
        head.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        return b"".join([*head, body])
