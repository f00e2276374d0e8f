"""Multipart forms: whatever way the bytes come in pieces, the same parts."""

import pytest

from app.errors import Malformed, RequestError, TooManyFiles
from app.http.form import Form

CONTENT_TYPE = "multipart/form-data; boundary=b0"
FILE = b'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: x\r\n\r\n'
AGE = b'Content-Disposition: form-data; name="age_years"\r\n\r\n'
CONTENT = bytes(range(256)) * 3 + b"\r\n--b\r\n--"  # nearly a boundary, twice


def form_of(*parts: bytes, end: bytes = b"--b0--\r\n") -> bytes:
    return b"".join(b"--b0\r\n" + part + b"\r\n" for part in parts) + end


def parse(
    body: bytes, piece: int = 2**20, max_files: int = 2, content_type: str = CONTENT_TYPE
) -> Form:
    form = Form(content_type, max_files)
    for start in range(0, len(body), piece):
        form.write(body[start : start + piece])
    form.finish()
    return form


@pytest.mark.parametrize("piece", [1, 7, 100, 2**20])
def test_files_and_texts_come_out_as_they_went_in(piece: int) -> None:
    form = parse(form_of(FILE + CONTENT, AGE + b"61", FILE + b""), piece)
    assert form.files == [("file", CONTENT), ("file", b"")]
    assert form.texts == {"age_years": "61"}


def test_the_last_text_of_a_name_counts() -> None:
    assert parse(form_of(AGE + b"4", AGE + b"61")).texts == {"age_years": "61"}


def test_what_is_no_utf8_is_replaced() -> None:
    assert parse(form_of(AGE + b"\xff")).texts == {"age_years": "\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (form_of(FILE + CONTENT)[:-20], Malformed),
        (form_of(FILE + CONTENT, end=b""), Malformed),
        (b"", Malformed),
        (b"no boundary in here", Malformed),
        (form_of(b"Content-Disposition: form-data\r\n\r\nx"), Malformed),
        (form_of(b"\r\nx"), Malformed),
        (form_of(AGE + b"1" * 4097), Malformed),
        (form_of(*[AGE + b"1"] * 17), Malformed),
        (form_of(*[FILE + b"x"] * 3), TooManyFiles),
        (form_of(b"X: " + b"x" * 100_000 + b"\r\n" + FILE + b"x"), Malformed),
    ],
)
@pytest.mark.parametrize("piece", [50, 2**20])
def test_what_can_not_be_taken_is_refused(
    body: bytes, error: type[RequestError], piece: int
) -> None:
    with pytest.raises(error):
        parse(body, piece)


def test_as_much_as_is_allowed_is_taken() -> None:
    parts = [AGE + b"1" * 4096] * 16 + [FILE + b"x"] * 2
    assert len(parse(form_of(*parts)).files) == 2


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 999}",
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(Malformed):
        parse(form_of(FILE + b"x"), content_type=content_type)
