"""Protocol data units (PS3.8 section 9.3) read within bounds, which pynetdicom does not set itself.

It believes the length that a PDU claims, up to 4 GiB, and waits for its bytes for ever.
"""

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association

MOST_PDU_BYTES: Final = 2**17
"""Of one PDU: announced to senders, who keep to it. It costs memory once for each association."""
_SLACK_BYTES: Final = 2**12  # what is announced is without the PDU's own heads
_MOST_COMMAND_BYTES: Final = 2**20
"""Of what is not a film's data set, and so is held in memory."""


class TooMuch(Exception):
    """A PDU or a message is longer than is taken; pynetdicom aborts the association."""


class PduSocket(AssociationSocket):
    """An association's connection.

    Parameters
    ----------
    first : the PDU that was read before there was an association
    most_bytes : of one film
    timeout_s : in which a PDU that has begun has to be there
    """

    def __init__(
        self,
        assoc: "Association",
        connection: socket.socket,
        first: bytes,
        *,
        most_bytes: int,
        timeout_s: float,
    ) -> None:
        super().__init__(assoc, client_socket=connection)
        self._first = memoryview(first)
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._bytes = 0
        self._whole = 0
        self.files: set[Path] = set()
        """Data sets that are whole and wait to be handled."""
        connection.settimeout(timeout_s)

    def complete(self, file: Path | None) -> None:
        """Say that a message is whole, and which file holds its data set."""
        self._bytes = 0
        self._whole += 1
        if file is not None:
            self.files.add(file)

    def handled(self, file: Path | None = None) -> None:
        """Say that a message is dealt with, and its file gone; the next one may come."""
        self._whole = max(0, self._whole - 1)
        if file is not None:
            self.files.discard(file)

    @property
    def ready(self) -> bool:
        """Whether there is something to be read."""
        return len(self._first) > 0 or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a part of a PDU; fewer bytes than asked for where the connection ends.

        Raises
        ------
        TooMuch
        OSError
        """
        if self._first:
            part, self._first = self._first[:nr_bytes], self._first[nr_bytes:]
            return bytearray(part)
        # Nobody may send a message before the last one is answered (PS3.7 section D.3.3.3).
        if nr_bytes > MOST_PDU_BYTES + _SLACK_BYTES or self._whole > 1:
            raise TooMuch
        self._bytes += nr_bytes
        if self._bytes > (self._most_bytes if self._takes_film() else _MOST_COMMAND_BYTES):
            raise TooMuch
        assert self.socket is not None  # noqa: S101 - pynetdicom reads from open connections only
        return receive(self.socket, nr_bytes, self._timeout_s)

    def _takes_film(self) -> bool:
        """Whether a data set is being written to a file."""
        message = self.assoc.dimse.message
        return message is not None and message._data_set_file is not None


def receive(connection: socket.socket, count: int, timeout_s: float) -> bytearray:
    """Read `count` bytes; fewer where the connection ends.

    Raises
    ------
    TimeoutError
        If they are not there in time, however many have come.
    OSError
    """
    received, until_s, have = bytearray(count), time.monotonic() + timeout_s, 0
    with memoryview(received) as room:
        while have < count:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            got = connection.recv_into(room[have:])
            if not got:
                break
            have += got
    return received[:have]
