"""app.http.accept: RFC 9110 section 12.5.1, row by row."""

import pytest

from app.http.accept import choose_media_type

OFFERED = ("application/json", "application/dicom", "application/fhir+json")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/dicom", "application/dicom"),
        ("APPLICATION/DICOM; transfer-syntax=*", "application/dicom"),
        ("application/fhir+json, application/dicom", "application/dicom"),
        ("application/fhir+json, application/dicom;q=0.9", "application/fhir+json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("*/*, application/json;q=0", "application/dicom"),
        ("application/dicom;q=0, application/*;q=0.5", "application/json"),
        ("application/dicom ; Q=0.2 , application/json;q=0.1", "application/dicom"),
        ("text/html", None),
        ("application/dicom+xml", None),
        ("application/json;q=0", None),
        ("application/json;q=nan", None),
        ("application/json;q=2", None),
        ("application/json;q=x", None),
        (",,;;=", None),
        ("image/*", None),
    ],
)
def test_what_is_liked_best(accept: str | None, chosen: str | None) -> None:
    assert choose_media_type(accept, OFFERED) == chosen


def test_a_header_without_end_costs_nothing() -> None:
    assert choose_media_type("a/b," * 100_000 + "application/json", OFFERED) is None
