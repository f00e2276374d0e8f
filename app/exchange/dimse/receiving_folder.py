"""Where a data set lies while it arrives: a folder of its own, for its owner only, kept empty.

pynetdicom deletes what was handled as a film, and leaves what was cut off or asked for something
else, with the patient's name in it. So a file goes with its association, and whatever a killed
process left goes at the next start.
"""

import tempfile
from pathlib import Path
from typing import Final

from pynetdicom.association import Association
from pynetdicom.events import Event

from app.exchange.dimse.pdu_socket import PduSocket

NAME: Final = "receiving"


def prepare_folder(exchange_folder: Path) -> Path:
    """Make the folder, empty it, and let temporary files of this process lie there.

    Raises
    ------
    OSError
    """
    folder = exchange_folder / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for left in folder.iterdir():
        left.unlink()
    tempfile.tempdir = str(folder)
    return folder


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
