"""app.server.receiving.receive_start: what has to be right before the DICOM port is opened."""

from pathlib import Path

import pytest

from app.errors import (
    DicomExposed,
    DicomTlsUnusable,
    ExchangeFolderUnusable,
    PartnersUnusable,
)
from app.server.receiving.receive_start import find_models, prepare_access, prepare_queue
from app.settings.settings import Settings
from tests.certificates import Authority

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there


def test_without_a_folder_there_is_no_queue() -> None:
    with pytest.raises(ExchangeFolderUnusable, match="none is named"):
        prepare_queue(Settings())


def test_a_folder_that_cant_be_made_is_told() -> None:
    with pytest.raises(ExchangeFolderUnusable):
        prepare_queue(Settings(exchange_folder="/proc/none"))


def test_a_partner_that_cant_be_is_told_before_a_film_is_taken(tmp_path: Path) -> None:
    settings = Settings(exchange_folder=str(tmp_path), partners="ftp://pacs.example")
    with pytest.raises(PartnersUnusable):
        prepare_queue(settings)


def test_the_model_before_is_known_but_does_not_read_here() -> None:
    """So what it read is read anew, and its results are taken for results."""
    before, now = (find_models(Settings(model=f"neumo-r18-{number}")) for number in (2, 3))
    assert before[0] == now[0] == before[1] | now[1]
    assert before[1].isdisjoint(now[1])
    assert now[1]
    assert find_models(Settings(model="no-such-bundle")) == (set(), set())


def test_on_loopback_anybody_may_send() -> None:
    assert prepare_access(Settings()) is None


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    authority = Authority(tmp_path)
    cert, key = authority.issue("neumo")
    return {
        "dicom_tls_cert_file": str(cert),
        "dicom_tls_key_file": str(key),
        "dicom_tls_ca_file": str(authority.ca),
    }


def test_elsewhere_callers_have_a_title_and_a_certificate(certificates: dict[str, str]) -> None:
    open_ones = [
        Settings(dicom_host=EVERYWHERE),
        Settings(dicom_host=EVERYWHERE, dicom_callers="PACS"),
        Settings(dicom_host=EVERYWHERE, dicom_insecure_no_tls=True),
        Settings(dicom_host=EVERYWHERE, **certificates),
        Settings(
            dicom_host=EVERYWHERE, dicom_callers="PACS", **certificates | {"dicom_tls_ca_file": ""}
        ),
    ]
    for settings in open_ones:
        with pytest.raises(DicomExposed):
            prepare_access(settings)
    assert prepare_access(Settings(dicom_host=EVERYWHERE, dicom_callers="PACS", **certificates))
    trusted = Settings(dicom_host=EVERYWHERE, dicom_callers="PACS", dicom_insecure_no_tls=True)
    assert prepare_access(trusted) is None


def test_a_certificate_that_cant_be_read_is_told_by_its_settings() -> None:
    settings = Settings(dicom_tls_cert_file="/none", dicom_tls_key_file="/none")
    with pytest.raises(DicomTlsUnusable, match="NEUMO_DICOM_TLS_CERT_FILE"):
        prepare_access(settings)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="go together"):
        Settings(dicom_tls_cert_file="/some")
    with pytest.raises(ValueError, match="NEUMO_DICOM_MEMORY_BYTES"):
        Settings(dicom_film_bytes=2**30)
    with pytest.raises(ValueError, match="title"):
        Settings(dicom_callers="MUCH_TOO_LONG_A_TITLE")
