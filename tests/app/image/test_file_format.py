"""app.image.file_format: the content decides; what is sent instead of an image is named."""

import base64
import gzip
import json

import pytest

from app.errors import EmptyUpload, UnsupportedMediaType
from app.image.file_format import recognise

JPEG = b"\xff\xd8\xff\xe0" + bytes(2000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)
DICOM = bytes(128) + b"DICM" + bytes(2000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (JPEG, "JPEG"),
        (PNG, "PNG"),
        (DICOM, "DICOM"),
        (b"II*\0" + DICOM[4:], "DICOM"),  # the preamble is anyone's
        (JPEG[:128] + DICOM[128:], "JPEG"),
        (PNG[:128] + DICOM[128:], "PNG"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(data: bytes, expected: str) -> None:
    assert recognise(data) == expected


def test_nothing_is_an_empty_upload() -> None:
    with pytest.raises(EmptyUpload):
        recognise(b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(JPEG, mtime=0), "gzip"),
        (json.dumps({"image": base64.b64encode(JPEG).decode()}).encode(), "json"),
        (b'\xef\xbb\xbf [{"file": "x"}]', "json"),
        (base64.b64encode(JPEG), "base64"),
        (base64.b64encode(PNG), "base64"),
        (b'"' + base64.b64encode(PNG) + b'"', "base64"),
        (b"data:image/png;base64," + base64.b64encode(PNG), "base64"),
        (bytes.fromhex("3082010006092a864886f70d010703a082"), "encrypted"),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + JPEG, "form"),
        (b"%PDF-1.7", None),
        (b"II*\0", None),
        (b"JFIF", None),
    ],
)
def test_what_is_sent_instead_is_told_what_to_send(data: bytes, reason: str | None) -> None:
    with pytest.raises(UnsupportedMediaType) as refusal:
        recognise(data)
    assert refusal.value.facts.get("reason") == reason
    plain = UnsupportedMediaType()
    for language in ("en", "es"):
        assert (refusal.value.detail(language) == plain.detail(language)) == (reason is None)
