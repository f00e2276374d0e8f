"""A real service as a STOW-RS server: Orthanc's DICOMweb plugin and dicomweb-client store films.

What becomes of them, once they wait, is `neumo receive`'s: tests/e2e/test_orthanc.py.
"""

import io
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import util
from pathlib import Path
from typing import Any

import pytest

if not util.find_spec("highdicom"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

import pydicom
from dicomweb_client.api import DICOMwebClient
from requests import HTTPError

from app.access.key import Key
from app.access.key_file import change_keys
from app.records.outbox.outbox import Outbox
from neumo_client import Client
from tests.app.render.hospital.results import INSTANCE, STUDY, film
from tests.conftest import ROOT
from tests.contract.stow import BOUNDARY, RELATED, STUDIES, numbered, open_outbox, related, uid_of
from tests.receiver import receiving, wait_until
from tests.server import Server, free_port, running, started

ORTHANC = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stow")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    made, secret = Key.create("archive", frozenset({"predict"}), datetime.now(UTC))
    change_keys(folder / "keys", lambda _: [made])
    return secret


@pytest.fixture(scope="module")
def server(folder: Path, key: str) -> Iterator[Server]:  # noqa: ARG001 - in the file of keys
    environment = {
        "NEUMO_EXCHANGE_FOLDER": str(folder / "exchange"),
        "NEUMO_KEYS_FILE": str(folder / "keys"),
        "NEUMO_BODY_TIMEOUT_S": "2",
    }
    with running(environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def outbox(server: Server, folder: Path) -> Iterator[Outbox]:  # noqa: ARG001 - opened first
    outbox = open_outbox(folder / "exchange")
    yield outbox
    outbox.close()


@pytest.fixture
def added(outbox: Outbox) -> Callable[[], int]:
    """Tell how many films wait more than before the test."""
    before = len(outbox.films())
    return lambda: len(outbox.films()) - before


@pytest.fixture
def archive(server: Server, key: str) -> DICOMwebClient:
    url = f"{server.url}/dicomweb"
    return DICOMwebClient(url, headers={"X-API-Key": key}, chunk_size=65_536)


def dataset(number: int, study: str | None = None) -> pydicom.Dataset:
    read = pydicom.dcmread(pydicom.filebase.DicomBytesIO(numbered(number, study)))
    read.file_meta.MediaStorageSOPInstanceUID = read.SOPInstanceUID
    return read


def test_dicomweb_client_stores_films(
    archive: DICOMwebClient, outbox: Outbox, added: Callable[[], int]
) -> None:
    answer = archive.store_instances([dataset(1)])
    assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid_of(1)
    # Over its chunk size: chunked, without a length.
    answer = archive.store_instances([dataset(2), dataset(3)], study_instance_uid=STUDY)
    assert [each.ReferencedSOPInstanceUID for each in answer.ReferencedSOPSequence] == [
        uid_of(2), uid_of(3),
    ]  # fmt: skip
    assert added() == 3
    assert {film.state for film in outbox.films()} == {"waiting"}


def test_dicomweb_client_is_told_what_was_not_stored(archive: DICOMwebClient) -> None:
    answer = archive.store_instances([dataset(4), dataset(5, "1.2.3")], study_instance_uid=STUDY)
    assert [each.FailureReason for each in answer.FailedSOPSequence] == [0xA900]
    with pytest.raises(HTTPError, match="409"):
        archive.store_instances([dataset(5, "1.2.3")], study_instance_uid=STUDY)


class Orthanc:
    """An Orthanc whose DICOMweb plugin knows the service as `neumo`."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
            return json.load(answer)

    def hold(self, data: bytes) -> str:
        """Let it store an instance; return its own name of it."""
        name: str = self.ask("/instances", data)["ID"]
        return name

    def stow(self, *names: str) -> None:
        """Let it send instances to the service, in one request."""
        self.ask("/dicom-web/servers/neumo/stow", json.dumps({"Resources": names}).encode())


@contextmanager
def running_orthanc(folder: Path, url: str, key: str) -> Iterator[Orthanc]:
    """Start one; end it, by its process id, on leaving."""
    port = free_port()
    path = folder / "orthanc.json"
    configuration = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomWeb": {"Servers": {"neumo": {"Url": url, "HttpHeaders": {"X-API-Key": key}}}},
    }
    path.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, path], stdout=log, stderr=log)
    try:
        orthanc = Orthanc(port)
        for _ in range(600):
            assert process.poll() is None, (folder / "orthanc.log").read_text(errors="replace")
            try:
                orthanc.ask("/system")
                break
            except OSError:
                time.sleep(0.05)
        yield orthanc
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.skipif(
    not (ORTHANC.exists() and PLUGIN.exists()),
    reason="Orthanc and its DICOMweb plugin (Debian: orthanc-dicomweb) are not installed",
)
def test_orthanc_stores_films_and_what_comes_with_them(
    server: Server, key: str, tmp_path: Path, outbox: Outbox, added: Callable[[], int]
) -> None:
    with running_orthanc(tmp_path, f"{server.url}/dicomweb/", key) as orthanc:
        films = [orthanc.hold(numbered(number)) for number in range(20, 24)]
        orthanc.stow(*films)
        orthanc.stow(*films)
        assert added() == 4
        queued = {film.id for film in outbox.films()}
        found = [outbox.reading(uid_of(number)) for number in range(20, 24)]
        assert all(each is not None and each.film_id in queued for each in found)
        # Not to be read: the job fails, as Orthanc can be told by a Lua script.
        with pytest.raises(urllib.error.HTTPError):
            orthanc.stow(
                orthanc.hold(film({0x00080018: ("UI", f"{INSTANCE}.99")}, x00080016="1.2"))
            )


def test_who_is_not_known_is_refused_before_a_byte_of_the_body(server: Server) -> None:
    head = (
        f"POST {STUDIES} HTTP/1.1\r\nHost: neumo\r\nContent-Type: {RELATED}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 401 ")


def test_a_body_that_drips_is_given_up_and_what_was_whole_is_kept(
    server: Server, key: str, added: Callable[[], int]
) -> None:
    begun_s = time.monotonic()
    head = (
        f"POST {STUDIES} HTTP/1.1\r\nHost: neumo\r\nContent-Type: {RELATED}\r\n"
        f"X-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    whole = related(numbered(40))
    first = whole[: -len(f"--{BOUNDARY}--\r\n")] + f"--{BOUNDARY}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(first), first))
        connection.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() - begun_s < 20:
            connection.sendall(b"1\r\nX\r\n")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert added() == 1


def test_a_hundred_megabytes_of_films_take_the_memory_of_one(
    server: Server, key: str, added: Callable[[], int]
) -> None:
    (worker,) = server.workers
    before_kib = resident_kib(worker, "VmRSS")
    parts = [numbered(number) + b"\0" * 2**20 for number in range(100, 200)]
    headers = {"Content-Type": RELATED, "X-API-Key": key}
    status, _, answer = server.call("POST", STUDIES, related(*parts), headers)
    assert status == 200
    assert len(json.loads(answer)["00081199"]["Value"]) == 100
    assert added() == 100
    assert resident_kib(worker, "VmHWM") - before_kib < 60 * 1024


def resident_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def test_what_is_stored_is_read_by_neumo_receive_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "exchange"
    environment = {"NEUMO_EXCHANGE_FOLDER": str(folder)}
    whole = (ROOT / "examples" / "normal.dcm").read_bytes()
    uid = str(pydicom.dcmread(ROOT / "examples" / "normal.dcm").SOPInstanceUID)
    with running(environment=environment) as server:
        body, headers = related(whole, film()), {"Content-Type": RELATED}
        assert server.call("POST", STUDIES, body, headers)[0] == 200
        assert server.call("GET", f"/readings/{uid}")[0] == 202
        with Client(server.url) as neumo:
            assert neumo.film_reading(uid).waits
        with receiving(folder, {}, "--no-listen"):
            wait_until(lambda: server.call("GET", f"/readings/{uid}")[0] == 200, 60)
            wait_until(lambda: server.call("GET", f"/readings/{INSTANCE}")[0] == 200, 60)
        told = json.loads(server.call("GET", f"/readings/{uid}")[2])
        assert (told["state"], told["reading"]["label"]) == ("read", "normal")
        answer = server.call("POST", "/predict", whole, {"Content-Type": "application/dicom"})[2]
        assert told["reading"]["probabilities"] == json.loads(answer)["probabilities"]
        with Client(server.url) as neumo:
            known = neumo.film_reading(uid)
            assert known.raw == told
            assert known.reading is not None
            assert known.reading.label == "normal"
        assert [each["kind"] for each in told["results"]] == ["sr", "sc", "fhir", "hl7"]
        for each in told["results"]:
            status, found, data = server.call("GET", f"/readings/{uid}?kind={each['kind']}")
            assert (status, found["content-type"]) == (200, each["media_type"])
            if each["kind"] in ("sr", "sc"):
                result = pydicom.dcmread(io.BytesIO(data))
                assert str(result.SOPInstanceUID) == each["uid"]
        refused = json.loads(server.call("GET", f"/readings/{INSTANCE}")[2])
        assert refused["state"] in ("read", "refused")
        assert server.call("POST", STUDIES, body, headers)[0] == 200  # again: known already
        assert json.loads(server.call("GET", f"/readings/{uid}")[2]) == told


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_queue_that_can_not_be_used_stops_the_start(tmp_path: Path, workers: str) -> None:
    (tmp_path / "file").write_text("no folder")
    environment = {"NEUMO_EXCHANGE_FOLDER": str(tmp_path / "file"), "NEUMO_WORKERS": workers}
    with started(environment=environment) as server:
        assert server.process.wait(60) == 3
        assert server.lines()[-1]["code"] == "exchange_folder_unusable"


def test_the_log_names_nobody(server: Server) -> None:
    log = server.log_text()
    assert '"route": "/dicomweb/studies/{study_uid}"' in log
    for word in (INSTANCE, STUDY, "Doe", "MRN-4711"):
        assert word not in log
