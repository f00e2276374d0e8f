"""The DICOM port in TLS (PS3.15 annex B), as DCMTK speaks it: who shows a certificate gets in."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import ROOT
from tests.receiver import STORESCU

if not Path(STORESCU).exists():
    pytest.skip("DCMTK is not installed (apt: dcmtk)", allow_module_level=True)

from tests.app.render.hospital.results import film
from tests.receiver import Receiver, receiving, wait_until

PAGE = (ROOT / "docs" / "receive.md").read_text()
BLOCKS = re.findall(r"test_receive_tls.py -->\n```sh\n(.+?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def receiver(folder: Path, authority: Authority) -> Iterator[Receiver]:
    """Start it with the settings that docs/receive.md shows."""
    authority.issue("neumo")
    shown = BLOCKS[0].replace("/etc/neumo", str(folder))
    environment = dict(re.findall(r"^export (\w+)=(.+)$", shown, re.MULTILINE))
    assert environment.pop("NEUMO_EXCHANGE_FOLDER") == "/var/lib/neumo/exchange"
    assert len(environment) == 5
    with receiving(folder / "exchange", environment) as running:
        yield running


@pytest.fixture(scope="module")
def shown(authority: Authority) -> tuple[str, ...]:
    """Options of DCMTK to show a certificate that the authority has signed."""
    cert, key = authority.issue("xray")
    return ("+tls", str(key), str(cert), "+cf", str(authority.ca))


def test_who_shows_a_certificate_gets_in(
    receiver: Receiver, shown: tuple[str, ...], tmp_path: Path
) -> None:
    assert receiver.echo(*shown)
    (tmp_path / "film.dcm").write_bytes(film())
    told = receiver.store(tmp_path / "film.dcm", options=shown)
    assert "Received Store Response (Success)" in told


def test_the_command_of_the_page_asks_it(
    receiver: Receiver, shown: tuple[str, ...], folder: Path
) -> None:
    assert shown
    command = BLOCKS[1].replace("11112", str(receiver.port))
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=True, timeout=60)


def test_who_shows_none_or_another_ones_does_not(
    receiver: Receiver, authority: Authority, tmp_path: Path
) -> None:
    assert not receiver.echo("+tla", "+cf", str(authority.ca))
    assert not receiver.echo()
    other = Authority(tmp_path, "Other CA")
    cert, key = other.issue("xray")
    assert not receiver.echo("+tls", str(key), str(cert), "+cf", str(authority.ca))


def test_a_title_that_is_not_named_does_not_with_a_certificate_either(
    receiver: Receiver, shown: tuple[str, ...]
) -> None:
    assert not receiver.echo(*shown, caller="ROGUE")


def test_who_begins_no_handshake_holds_up_nobody(
    receiver: Receiver, shown: tuple[str, ...]
) -> None:
    address = ("127.0.0.1", receiver.port)
    silent = [socket.create_connection(address) for _ in range(30)]
    try:
        assert receiver.echo(*shown)
        assert receiver.echo(*shown)
    finally:
        for connection in silent:
            connection.close()


def test_a_certificate_that_is_renewed_is_taken_without_a_new_start(
    receiver: Receiver, shown: tuple[str, ...], folder: Path
) -> None:
    new = Authority(folder, "New CA")
    cert, key = new.issue("neumo", file="renewed")
    shutil.copy(key, folder / "neumo.key")
    shutil.copy(cert, folder / "neumo.pem")
    trusting_new = (*shown[:-1], str(new.ca))
    wait_until(lambda: receiver.echo(*trusting_new))
    assert not receiver.echo(*shown)
