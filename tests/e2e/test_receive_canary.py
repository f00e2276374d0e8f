"""Nothing that a film says of a patient lies open: in no log, at any level, and in no file."""

import socket
import struct
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from tests.receiver import STORESCU

if not Path(STORESCU).exists():
    pytest.skip("DCMTK is not installed (apt: dcmtk)", allow_module_level=True)

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity

from app.image.dicom.file_meta import read_file_meta
from tests import dicoms
from tests.app.render.hospital.results import film as clean_film
from tests.e2e.test_canary import CANARY, DIGITS, film, hostile
from tests.receiver import Receiver, receiving, wait_until

NAMED = {
    0x00100010: ("PN", CANARY),
    0x00100020: ("LO", CANARY),
    0x0020000D: ("UI", f"1.2.{DIGITS}.1"),
    0x00080018: ("UI", f"1.2.{DIGITS}.2"),
}


def send(receiver: Receiver, file: Path, data: bytes, title: str = "XRAY1") -> None:
    """Send a file's bytes as they are, whatever pydicom would say of them."""
    file.write_bytes(data)
    entity = ApplicationEntity(title)
    entity.add_requested_context(dicoms.CR, read_file_meta(data).transfer_syntax.uid)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="NEUMO")
    if association.is_established:
        with suppress(ValueError):  # what pynetdicom itself does not send
            association.send_c_store(file)
        association.release()


def test_nothing_of_a_patient_lies_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    folder, file = tmp_path / "exchange", tmp_path / "film.dcm"
    monkeypatch.setattr(dicoms, "SOP_INSTANCE", NAMED[0x00080018][1])  # of files' heads
    named = clean_film(NAMED)
    monkeypatch.setattr(dicoms, "SOP_INSTANCE", f"1.2.{DIGITS}.3")
    with receiving(folder, {"NEUMO_LOG_LEVEL": "debug"}) as receiver:
        send(receiver, file, named)
        send(receiver, file, film())
        for data in islice(hostile(), 3, 40, 2):
            with suppress(Exception):  # of files that can't be sent
                send(receiver, file, data)
        send(receiver, file, named, title=CANARY)
        with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
            body = struct.pack(">HH16s16s32x", 1, 0, CANARY.encode(), CANARY.encode()) * 9
            connection.sendall(struct.pack(">BxI", 1, len(body)) + body)
        with receiver.association(dicoms.CR) as association:
            body = CANARY.encode() * 99
            association.dul.socket.socket.sendall(struct.pack(">BxI", 4, len(body)) + body)
        assert receiver.echo()
        with receiver.queue() as queue:
            wait_until(lambda: all(row.state != "waiting" for row in queue.films()), 60)
            assert "read" in {row.state for row in queue.films()}
            stored = queue.reading(f"1.2.{DIGITS}.2")
        assert stored is not None
        assert CANARY.encode() in stored.results["sr"].data  # or nothing would be hidden here
    texts = [receiver.log, *(path for path in folder.rglob("*") if path.is_file())]
    assert len(texts) > 3
    for path in texts:
        content = path.read_bytes()
        assert CANARY.encode() not in content, path
        assert DIGITS.encode() not in content, path
    told = [line["message"] for line in receiver.lines()]
    assert {"stored", "not stored", "an association is rejected"} <= set(told)
