"""Partners as the settings name them."""

import pytest

from app.errors import PartnersUnusable
from app.exchange.partners.partner_address import PartnerAddress, parse_partners
from app.exchange.partners.partner_list import open_partners
from app.settings.exchange_settings import ExchangeSettings


def test_each_scheme_says_what_is_spoken() -> None:
    text = (
        "dicom://ORTHANC@10.0.0.5:4242, dicoms://MAIN%20@pacs.example:2762/,"
        "https://pacs.example/dicom-web/,http://127.0.0.1:8042/dicom-web,"
        "fhir+https://ehr.example/fhir/r4,"
    ).replace("%20", "")
    assert parse_partners(text) == [
        PartnerAddress(
            "dicom://ORTHANC@10.0.0.5:4242", "dicom", False, "10.0.0.5", 4242, "ORTHANC"
        ),
        PartnerAddress(
            "dicoms://MAIN@pacs.example:2762/", "dicom", True, "pacs.example", 2762, "MAIN"
        ),
        PartnerAddress(
            "https://pacs.example/dicom-web/",
            "stow",
            True,
            "pacs.example",
            url="https://pacs.example/dicom-web",
        ),
        PartnerAddress(
            "http://127.0.0.1:8042/dicom-web",
            "stow",
            False,
            "127.0.0.1",
            url="http://127.0.0.1:8042/dicom-web",
        ),
        PartnerAddress(
            "fhir+https://ehr.example/fhir/r4",
            "fhir",
            True,
            "ehr.example",
            url="https://ehr.example/fhir/r4",
        ),
    ]
    assert parse_partners(" , ") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("pacs.example:104", 1, id="no scheme"),
        pytest.param("ftp://pacs.example", 1, id="another scheme"),
        pytest.param("https://a/dicom-web,dicom://10.0.0.5:104", 2, id="no title"),
        pytest.param("dicom://SEVENTEENCHARSLONG@10.0.0.5:104", 1, id="long title"),
        pytest.param("dicom://PACS@10.0.0.5", 1, id="no port"),
        pytest.param("dicom://PACS@10.0.0.5:99999", 1, id="no such port"),
        pytest.param("dicom://PACS:SECRET@10.0.0.5:104", 1, id="a password of DICOM"),
        pytest.param("https://user:SECRET@a/dicom-web", 1, id="a password"),
        pytest.param("https://a/dicom-web?token=SECRET", 1, id="a query"),
        pytest.param("https:///dicom-web", 1, id="no host"),
        pytest.param("https://a/dicom-web,https://a/dicom-web", 2, id="twice"),
    ],
)
def test_what_is_none_is_told_by_its_number_and_not_quoted(text: str, number: int) -> None:
    with pytest.raises(PartnersUnusable) as refused:
        parse_partners(text)
    assert refused.value.facts["number"] == number
    assert "SECRET" not in str(refused.value)


def test_a_header_that_lets_in_is_not_sent_for_all_to_read() -> None:
    settings = {"partner_authorization_file": "token"}
    plain = ExchangeSettings(partners="http://10.0.0.5/dicom-web", **settings)
    with pytest.raises(PartnersUnusable, match="unencrypted"):
        open_partners(plain)
    local = ExchangeSettings(partners="http://127.0.0.1:8042/dicom-web", **settings)
    (partner,) = open_partners(local)
    partner.close()
    assert partner.name == local.partners


def test_certificates_that_can_not_be_read_are_told() -> None:
    settings = ExchangeSettings(partners="https://a/dicom-web", partner_ca_file="/nowhere.pem")
    with pytest.raises(PartnersUnusable, match="certificates that can't be read"):
        open_partners(settings)


def test_each_partner_takes_its_kinds() -> None:
    text = "dicom://A@127.0.0.1:104,https://a/dicom-web,fhir+https://a/fhir"
    partners = open_partners(ExchangeSettings(partners=text))
    for partner in partners:
        partner.close()
    assert [sorted(partner.kinds) for partner in partners] == [["sc", "sr"], ["sc", "sr"], ["fhir"]]
