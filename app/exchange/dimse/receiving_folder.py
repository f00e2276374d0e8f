"""Where a data set lies while it arrives: a folder of its own, for its owner only, kept empty.

pynetdicom deletes what was handled as a film, and leaves what was cut off or asked for something
else, with the patient's name in it. So a file goes with its association, and whatever a killed
process left goes at the next start, unless another `neumo receive` takes films into it meanwhile.
"""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Final

from pynetdicom.association import Association
from pynetdicom.events import Event

from app.exchange.dimse.pdu_socket import PduSocket

NAME: Final = "receiving"

_held: list[int] = []
"""The folder that this process takes films into, open for as long as it does: its lock."""


def prepare_folder(exchange_folder: Path) -> Path:
    """Make the folder, empty it, and let temporary files of this process lie there.

    It is emptied only if no other process takes films into it: what lies there arrives just now.

    Raises
    ------
    OSError
    """
    folder = exchange_folder / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if _is_alone(folder):
        for left in folder.iterdir():
            left.unlink()
    fcntl.flock(_held[0], fcntl.LOCK_SH)
    tempfile.tempdir = str(folder)
    return folder


def _is_alone(folder: Path) -> bool:
    while _held:
        os.close(_held.pop())
    _held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    try:
        fcntl.flock(_held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def note_message(event: Event) -> None:
    """Remember that a message is whole, and its file, until it is handled."""
    connection, path = event.assoc.dul.socket, event.message._data_set_path
    if isinstance(connection, PduSocket):
        connection.complete(path if isinstance(path, Path) else None)


def forget_unhandled(association: Association) -> None:
    """Delete what an association, which is over, has not had handled."""
    message, connection = association.dimse.message, association.dul.socket
    if message is not None and message._data_set_file is not None:
        message._data_set_file.close()
        Path(message._data_set_file.name).unlink(missing_ok=True)
    if isinstance(connection, PduSocket):
        for path in connection.files:
            path.unlink(missing_ok=True)
