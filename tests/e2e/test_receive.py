"""`neumo receive` as archives meet it: what is taken, dropped, refused, and what survives."""

import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import STORESCU

if not Path(STORESCU).exists():
    pytest.skip("DCMTK is not installed (apt: dcmtk)", allow_module_level=True)

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from app.exchange.dimse.offered_contexts import make_contexts
from app.exchange.film_sort import DROPPED_CLASSES
from app.image.dicom.file_meta import TRANSFER_SYNTAXES
from app.records.outbox.outbox import Outbox
from app.render.hospital.result_set import Kind, make_results
from app.render.hospital.source_image import FILM_CLASSES, read_source_image
from tests import dicoms
from tests.app.render.hospital.results import MADE_AT, film, read
from tests.receiver import CALLER, Receiver, receiving, wait_until

SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it does not start there


Ended = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    callers = f"{CALLER},PACS@127.0.0.1,PACS2@10.0.0.5"
    folder = tmp_path_factory.mktemp("exchange")
    with receiving(folder, {"NEUMO_DICOM_CALLERS": callers}) as running:
        yield running


def film_of(number: int, **more: dicoms.Value) -> bytes:
    """Write a film that differs from others by its UID."""
    return film({0x00080018: ("UI", f"1.2.826.0.1.9.{number}")}, **more)


@cache
def dataset(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data))


def send(receiver: Receiver, data: bytes, times: int = 1) -> list[int]:
    """Send a file by one association, as often as that; return the statuses."""
    sent = dataset(data)
    with receiver.association(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID) as association:
        assert association.is_established
        return [association.send_c_store(sent).get("Status") for _ in range(times)]


def begin_store(association: Association) -> None:
    """Send a C-STORE's command and the first of its data set, and no more."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = dicoms.CR, "1.2.826.0.1.9.9"
    request.DataSet = io.BytesIO(b"patient" * 1000)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    context = association.accepted_contexts[0].context_id
    for fragment in itertools.islice(message.encode_msg(context, 2048), 3):
        association.dul.send_pdu(fragment)


def stored_lines(receiver: Receiver) -> list[dict[str, Any]]:
    return [line for line in receiver.lines() if line["message"] == "stored"]


def last_stored(receiver: Receiver) -> str:
    return str(stored_lines(receiver)[-1]["film"])


def state_of(queue: Outbox, film_id: str) -> str:
    return next(row.state for row in queue.films() if row.id == film_id)


def count(receiver: Receiver) -> int:
    with receiver.queue() as queue:
        return len(queue.films())


def test_it_answers_an_echo(receiver: Receiver) -> None:
    assert receiver.echo()


def test_who_is_not_named_is_rejected(receiver: Receiver) -> None:
    assert receiver.echo(caller="PACS")
    assert not receiver.echo(caller="PACS2")  # may call from another address
    assert not receiver.echo(caller="ROGUE")
    assert not receiver.echo(called="OTHER")


@pytest.mark.parametrize(
    ("encoder", "proposed"),
    [
        ((), "-xe"),
        (("/usr/bin/dcmconv", "+ti"), "-xi"),
        (("/usr/bin/dcmconv", "+tb"), "-xb"),
        (("/usr/bin/dcmcjpeg",), "-xs"),
        (("/usr/bin/dcmcjpls",), "-xt"),
        (("/usr/bin/dcmcrle",), "-xr"),
    ],
    ids=["explicit", "implicit", "big endian", "jpeg lossless", "jpeg-ls", "rle"],
)
def test_a_film_lies_in_the_queue_as_it_was_sent(
    receiver: Receiver, tmp_path: Path, encoder: tuple[str, ...], proposed: str
) -> None:
    plain, sent = tmp_path / "plain.dcm", tmp_path / "sent.dcm"
    plain.write_bytes(film_of(1000 + sum(map(ord, proposed))))
    subprocess.run([*(encoder or ("/bin/cp",)), plain, sent], check=True)
    assert "Received Store Response (Success)" in receiver.store(sent, options=(proposed,))
    stored = last_stored(receiver)
    with receiver.queue() as queue:
        kept = dcmread(io.BytesIO(queue.film(stored)))
    expected = dcmread(sent)
    assert kept.file_meta.TransferSyntaxUID == expected.file_meta.TransferSyntaxUID
    assert kept.PixelData == expected.PixelData
    assert (kept.PatientName, kept.SOPInstanceUID) == ("Doe^Jane", expected.SOPInstanceUID)


def test_each_transfer_syntax_that_is_read_is_taken() -> None:
    offered = {context.abstract_syntax: context.transfer_syntax for context in make_contexts()}
    for film_class in FILM_CLASSES:
        assert set(offered[UID(film_class)]) == set(TRANSFER_SYNTAXES)
    for dropped in DROPPED_CLASSES:
        assert set(offered[UID(dropped)]) > set(TRANSFER_SYNTAXES)


def test_the_same_film_is_kept_once(receiver: Receiver) -> None:
    before = count(receiver)
    assert send(receiver, film_of(2), times=5) == [SUCCESS] * 5
    assert count(receiver) == before + 1
    assert [line["again"] for line in stored_lines(receiver)[-5:]] == [False, *[True] * 4]


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.88.59",
     "1.2.840.10008.5.1.4.1.1.11.1"],
    ids=["dose report", "key objects", "presentation state"],
)  # fmt: skip
def test_what_comes_with_films_is_taken_and_forgotten(receiver: Receiver, sop_class: str) -> None:
    before = count(receiver)
    companion = dataset(film_of(3, x00080016=sop_class))
    del companion.PixelData
    companion.file_meta.MediaStorageSOPClassUID = sop_class
    with receiver.association(sop_class) as association:
        assert association.send_c_store(companion).Status == SUCCESS
    assert count(receiver) == before


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_own_results_that_are_sent_back_are_taken_and_forgotten(
    receiver: Receiver, kind: Kind
) -> None:
    before = count(receiver)
    (result,) = make_results(read(film()), read_source_image(film()), "en", MADE_AT, (kind,))
    assert send(receiver, result.data) == [SUCCESS]
    assert count(receiver) == before
    assert stored_lines(receiver)[-1]["dropped"] is True


def test_what_can_never_be_read_is_refused_and_the_next_one_taken(receiver: Receiver) -> None:
    good, lost = dataset(film_of(4)), dataset(film_of(5))
    del lost.StudyInstanceUID
    with receiver.association(dicoms.CR) as association:
        assert association.send_c_store(lost).Status == NOT_UNDERSTOOD
        assert association.send_c_store(good).Status == SUCCESS
    of_listener = [line for line in receiver.lines() if line["logger"] == "neumo.dimse"]
    assert of_listener[-2]["code"] == "study_unknown"  # whether or not the good one is read yet


def test_an_association_that_ends_in_a_film_leaves_nothing_of_it(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association:
        begin_store(association)
        wait_until(receiver.temporary_files)
        association.dul.socket.close()
        wait_until(lambda: not receiver.temporary_files())


def test_a_killed_listener_is_replaced_and_its_sender_waits(receiver: Receiver) -> None:
    with receiver.association(dicoms.CR) as association:
        begin_store(association)
        wait_until(receiver.temporary_files)
        killed = receiver.pid("listener")
        os.kill(killed, signal.SIGKILL)
        assert receiver.echo()
        assert receiver.temporary_files() == []
    assert receiver.pid("listener") != killed
    assert send(receiver, film_of(6)) == [SUCCESS]


def test_a_film_is_read_though_its_reader_is_killed(receiver: Receiver) -> None:
    killed = receiver.pid("reader")
    os.kill(killed, signal.SIGSTOP)
    assert send(receiver, film_of(9)) == [SUCCESS]
    os.kill(killed, signal.SIGKILL)
    kept = last_stored(receiver)
    with receiver.queue() as queue:
        wait_until(lambda: state_of(queue, kept) != "waiting", patience_s=60)
        assert state_of(queue, kept) == "read"
        stored = queue.reading("1.2.826.0.1.9.9")
        assert stored is not None
        assert {"sr", "sc", "fhir"} <= set(stored.results)
    assert receiver.pid("reader") != killed


def test_the_process_that_reads_does_not_hold_the_port(receiver: Receiver) -> None:
    wait_until(lambda: health(receiver.folder).returncode == 0)
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (each[9] for each in lines if each[1:4:2] == [f"0100007F:{receiver.port:04X}", "0A"])

    def holds(pid: int) -> bool:
        descriptors = Path(f"/proc/{pid}/fd").iterdir()
        return f"socket:[{inode}]" in [str(each.readlink()) for each in descriptors]

    assert holds(receiver.pid("listener"))
    assert not holds(receiver.pid("reader"))


def test_it_says_how_it_is(receiver: Receiver) -> None:
    wait_until(lambda: health(receiver.folder).returncode == 0)
    assert health(receiver.folder).stdout == b"receive: listener up, reader up\n"
    away = health(receiver.folder / "elsewhere")
    assert (away.returncode, away.stdout) == (1, b"receive: not running\n")


def test_a_full_queue_says_so_until_there_is_room(tmp_path: Path) -> None:
    environment = {"NEUMO_EXCHANGE_BYTES": str(2**20), "NEUMO_WORKER_TIMEOUT_S": "600"}
    with receiving(tmp_path / "exchange", environment) as receiver:
        reader = receiver.pid("reader")
        os.kill(reader, signal.SIGSTOP)
        with receiver.association(dicoms.CR) as association:
            statuses = [
                association.send_c_store(dataset(film_of(100 + number))).Status
                for number in range(30)
            ]
        os.kill(reader, signal.SIGCONT)
        kept = statuses.count(SUCCESS)
        assert statuses == [SUCCESS] * kept + [OUT_OF_RESOURCES] * (30 - kept)
        assert 2**20 // 60_000 < kept < 30
        assert receiver.temporary_files() == []


def test_told_to_stop_it_lets_an_association_finish(tmp_path: Path) -> None:
    with receiving(tmp_path / "exchange") as receiver:
        with receiver.association(dicoms.CR) as association:
            assert association.send_c_store(dataset(film_of(7))).Status == SUCCESS
            receiver.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not receiver.echo())
            assert association.send_c_store(dataset(film_of(8))).Status == SUCCESS
            association.release()
        assert receiver.process.wait(30) == 0
        assert count(receiver) == 2


def test_told_to_stop_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    with (
        receiving(tmp_path / "exchange", {"NEUMO_SHUTDOWN_GRACE_S": "1"}) as receiver,
        receiver.association(dicoms.CR) as association,
    ):
        begin_store(association)
        wait_until(receiver.temporary_files)
        receiver.process.send_signal(signal.SIGTERM)
        assert receiver.process.wait(30) == 0
        assert receiver.temporary_files() == []


def test_it_does_not_start_where_it_would_be_open(tmp_path: Path) -> None:
    run = start_in_vain(tmp_path, {"NEUMO_DICOM_HOST": EVERYWHERE})
    assert run.returncode == 2
    assert json.loads(run.stderr.splitlines()[-1])["code"] == "dicom_exposed"


def test_it_does_not_start_on_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = start_in_vain(tmp_path, {"NEUMO_DICOM_PORT": port})
    assert run.returncode == 4
    assert json.loads(run.stderr.splitlines()[-1])["message"] == "can't listen"


def start_in_vain(folder: Path, environment: dict[str, str]) -> Ended:
    own = {"NEUMO_EXCHANGE_FOLDER": str(folder), "NEUMO_DICOM_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "app", "receive"],
        env=os.environ | own | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )


def health(folder: Path) -> Ended:
    return subprocess.run(
        [sys.executable, "-m", "app", "health", "receive"],
        env=os.environ | {"NEUMO_EXCHANGE_FOLDER": str(folder)},
        capture_output=True,
        check=False,
        timeout=60,
    )
