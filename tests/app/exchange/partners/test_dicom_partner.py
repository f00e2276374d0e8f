"""Results go to an archive by C-STORE; the archive is a real one of pynetdicom's."""

import gc
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import evt

from app.exchange.partners.dicom_partner import DicomPartner
from app.exchange.partners.partner_address import parse_partners
from app.exchange.partners.partner_list import open_partners
from app.exchange.partners.sending import DELIVERED, Sent, Verdict
from app.settings.exchange_settings import ExchangeSettings
from tests.app.exchange.partners.archives import (
    IMPLICIT,
    SECONDARY_CAPTURE,
    Archive,
    due,
    made_results,
)
from tests.certificates import Authority


@pytest.fixture
def _collect_what_pynetdicom_leaves() -> Iterator[None]:
    """Close sockets that could not be connected: it leaves them to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def partner(address: str, timeout_s: float = 5.0) -> DicomPartner:
    return DicomPartner(parse_partners(address)[0], "NEUMO", timeout_s, None)


def test_several_objects_go_over_one_association() -> None:
    with Archive().running() as archive:
        sending = partner(archive.address)
        sent = [(d.kind, result) for d, result in sending.send([due("sr"), due("sc")])]
        again = [result for _, result in sending.send([due("sr")])]
    assert sent == [("sr", DELIVERED), ("sc", DELIVERED)]
    assert again == [DELIVERED]
    assert archive.associations == ["NEUMO", "NEUMO"]
    uids = {result.kind: result.uid for result in made_results()}
    assert [uid for uid, _ in archive.stored] == [uids["sr"], uids["sc"], uids["sr"]]
    assert archive.stored[0][1] == archive.stored[2][1], "the same bytes each time"
    (report,) = (result.data for result in made_results() if result.kind == "sr")
    assert report.endswith(archive.stored[0][1]), "and those that were made"


def test_an_archive_that_takes_implicit_vr_only_gets_that() -> None:
    with Archive(syntaxes=(IMPLICIT,)).running() as archive:
        assert [r for _, r in partner(archive.address).send([due("sc")])] == [DELIVERED]
    (_, data) = archive.stored[0]
    assert data[4:6] != b"UI", "no VR is written"


def test_each_status_is_judged_and_the_next_object_is_sent() -> None:
    with Archive(statuses=(0xA900, 0x0111)).running() as archive:
        sent = [result for _, result in partner(archive.address).send([due("sr"), due("sc")])]
    assert sent == [Sent(Verdict.NEVER, "status_0xA900"), DELIVERED]


def test_a_class_that_the_archive_does_not_take_is_a_dead_letter() -> None:
    with Archive(classes=(SECONDARY_CAPTURE,)).running() as archive:
        sent = [result for _, result in partner(archive.address).send([due("sr"), due("sc")])]
    assert sent == [Sent(Verdict.NEVER, "sop_class_not_accepted"), DELIVERED]


@pytest.mark.usefixtures("_collect_what_pynetdicom_leaves")
def test_an_archive_that_is_away_is_told_once() -> None:
    with Archive().running() as archive:
        address = archive.address
    (told,) = partner(address).send([due("sr"), due("sc")])
    assert told == (due("sr"), Sent(Verdict.AWAY, "no_answer"))


def test_an_archive_that_does_not_know_neumo_is_away() -> None:
    with Archive(callers=("OTHER",)).running() as archive:
        (told,) = partner(archive.address).send([due("sr")])
    assert told[1] == Sent(Verdict.AWAY, "association_rejected")


def test_an_association_that_ends_says_nothing_of_the_objects_after_it() -> None:
    def abort(event: evt.Event) -> None:
        event.assoc.abort()

    with Archive(on_store=abort).running() as archive:
        sent = list(partner(archive.address, timeout_s=1.0).send([due("sr"), due("sc")]))
    assert sent == [(due("sr"), Sent(Verdict.AGAIN, "association_lost"))]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert, key = authority.issue("localhost", "pacs")
    context.load_cert_chain(cert, key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def settings(archive: Archive, authority: Authority, ca: Path) -> ExchangeSettings:
    cert, key = authority.issue("neumo")
    return ExchangeSettings(
        partners=archive.address.replace("dicom:", "dicoms:"),
        partner_ca_file=str(ca),
        dicom_tls_cert_file=str(cert),
        dicom_tls_key_file=str(key),
        delivery_timeout_s=5.0,
    )


@pytest.mark.usefixtures("_collect_what_pynetdicom_leaves")
def test_over_tls_both_show_certificates(authority: Authority) -> None:
    with Archive().running(server_context(authority)) as archive:
        (sending,) = open_partners(settings(archive, authority, authority.ca))
        assert [result for _, result in sending.send([due("sr")])] == [DELIVERED]
        (plain,) = partner(archive.address, timeout_s=1.0).send([due("sr")])
        assert plain[1].verdict is Verdict.AWAY


@pytest.mark.usefixtures("_collect_what_pynetdicom_leaves")
def test_an_archive_of_another_authority_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Other CA")
    with Archive().running(server_context(authority)) as archive:
        (sending,) = open_partners(settings(archive, authority, other.ca))
        (told,) = sending.send([due("sr")])
    assert told[1].verdict is Verdict.AWAY
    assert archive.stored == []
