"""What one hostile caller of the DICOM port costs, and that honest ones get through meanwhile."""

import io
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.receiver import STORESCU

if not Path(STORESCU).exists():
    pytest.skip("DCMTK is not installed (apt: dcmtk)", allow_module_level=True)

from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from tests import dicoms
from tests.receiver import Receiver, receiving, wait_until

FILM_BYTES = 8 * 2**20
MOST_MB = 160
"""Memory of the process that listens, whatever comes: what it takes by itself is some 100 MB."""
COMMAND, DATA, LAST = 1, 0, 2  # PS3.8 section E.2


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    environment = {"NEUMO_DICOM_FILM_BYTES": str(FILM_BYTES), "NEUMO_DICOM_TIMEOUT_S": "3"}
    with receiving(tmp_path_factory.mktemp("exchange"), environment) as running:
        assert running.echo()
        yield running


@pytest.fixture(autouse=True)
def unharmed(receiver: Receiver) -> Iterator[None]:
    """Whatever a test does: the same process answers, in its memory, and keeps no file."""
    before = receiver.pid("listener")
    yield
    assert receiver.echo()
    assert receiver.pid("listener") == before
    assert receiver.memory_mb() < MOST_MB
    wait_until(lambda: not receiver.temporary_files())


def pdv(control: int, data: bytes) -> bytes:
    """Write a P-DATA-TF PDU of one value (PS3.8 section 9.3.5)."""
    value = struct.pack(">IBB", len(data) + 2, 1, control) + data
    return struct.pack(">BxI", 4, len(value)) + value


def seize(association: Association) -> socket.socket:
    """Take an association's connection away from pynetdicom, which would keep to the protocol."""
    connection = association.dul.socket.socket
    association.dul.kill_dul()
    association.dul.join()
    connection.settimeout(10)
    return connection


def store_command() -> bytes:
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = dicoms.CR, "1.2.3"
    request.DataSet = io.BytesIO(b"x")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pdu = P_DATA_TF()
    pdu.from_primitive(next(message.encode_msg(1, 2**16)))
    return pdu.encode()


def pour(connection: socket.socket, data: bytes, most: int) -> int:
    """Send data again and again; return how many bytes went before the other end hung up."""
    sent = 0
    with suppress(OSError):
        while sent < most:
            connection.sendall(data)
            sent += len(data)
    return sent


def test_a_request_of_four_gigabytes_is_not_waited_for(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
        connection.sendall(struct.pack(">BxI", 1, 0xFFFFFFF0))
        assert pour(connection, bytes(2**20), most=300 * 2**20) < 50 * 2**20


def test_a_pdu_of_four_gigabytes_ends_its_association(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        connection.sendall(struct.pack(">BxI", 4, 0xFFFFFFF0))
        assert pour(connection, bytes(2**20), most=300 * 2**20) < 50 * 2**20


def test_a_pdu_longer_than_was_announced_ends_its_association(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        connection.sendall(store_command())
        assert pour(connection, pdv(DATA, bytes(20_000_000)), most=1) == 0


def test_an_endless_data_set_ends_its_association(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        connection.sendall(store_command())
        sent = pour(connection, pdv(DATA, bytes(60_000)), most=400_000_000)
        assert FILM_BYTES - 2**17 < sent < FILM_BYTES + 50 * 2**20


def test_an_endless_command_ends_its_association(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        assert pour(connection, pdv(COMMAND, bytes(60_000)), most=400_000_000) < 50 * 2**20


def test_who_waits_for_no_answer_is_hung_up_on(receiver: Receiver) -> None:
    films = 10 * (store_command() + pdv(DATA | LAST, bytes(60_000)))
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        assert pour(connection, films, most=400_000_000) < 50 * 2**20


def test_silent_connections_lock_nobody_out(receiver: Receiver) -> None:
    with ExitStack() as opened:
        for _ in range(200):
            address = ("127.0.0.1", receiver.port)
            opened.enter_context(socket.create_connection(address))
        begun_s = time.monotonic()
        assert receiver.echo()
        assert time.monotonic() - begun_s < 5


def test_rejected_callers_that_stay_lock_nobody_out(receiver: Receiver) -> None:
    request = struct.pack(">HH16s16s32x", 1, 0, b"NEUMO".ljust(16), b"ROGUE".ljust(16))
    with ExitStack() as opened:
        for _ in range(30):
            address = ("127.0.0.1", receiver.port)
            connection = opened.enter_context(socket.create_connection(address, timeout=10))
            connection.sendall(struct.pack(">BxI", 1, len(request)) + request)
            assert connection.recv(10) == bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 3))
        assert receiver.echo()


def test_who_drips_a_pdu_is_not_waited_for(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association, seize(association) as connection:
        connection.sendall(struct.pack(">BxI", 4, 60_000))
        begun_s = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun_s < 30:
                connection.sendall(b"\0")
                time.sleep(0.1)
        assert time.monotonic() - begun_s < 20


def test_as_many_associations_as_are_allowed_and_no_more(receiver: Receiver) -> None:
    with ExitStack() as opened:
        held = [opened.enter_context(receiver.association(dicoms.CR)) for _ in range(9)]
        assert [each.is_established for each in held] == [True] * 8 + [False]
        assert held[-1].is_rejected
        wait_until(receiver.echo)  # silence ends them


def test_garbage_is_hung_up_on(receiver: Receiver) -> None:
    chance = random.Random(1)  # noqa: S311 - nobody guards anything by it
    for _ in range(200):
        address = ("127.0.0.1", receiver.port)
        with socket.create_connection(address, timeout=10) as connection, suppress(OSError):
            kind, length = chance.choice((1, 2, 3, 4, 5, 6, 7, 9, 255)), chance.choice((0, 4, 68))
            connection.sendall(struct.pack(">BxI", kind, length) + chance.randbytes(200))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def test_memory_has_a_limit_that_the_kernel_holds(receiver: Receiver) -> None:
    limits = Path(f"/proc/{receiver.pid('listener')}/limits").read_text()
    assert f"Max address space         {768 * 2**20}" in limits
