"""Multipart forms: whatever way the bytes come in pieces, the same parts."""

import pytest

from app.errors import Malformed, RequestError, TooManyFiles
from app.http.body.form import Form

CONTENT_TYPE = "multipart/form-data; boundary=b0"
FILE = b'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: x\r\n\r\n'
AGE = b'Content-Disposition: form-data; name="age_years"\r\n\r\n'
OTHER = b'Content-Disposition: form-data; name="report"\r\n\r\n'
CONTENT = bytes(range(256)) * 3 + b"\r\n--b\r\n--"  # nearly a boundary, twice
JPEG = b"\xff\xd8\xff" + CONTENT


def form_of(*parts: bytes, end: bytes = b"--b0--\r\n") -> bytes:
    return b"".join(b"--b0\r\n" + part + b"\r\n" for part in parts) + end


def parse(
    body: bytes, piece: int = 2**20, max_files: int = 2, content_type: str = CONTENT_TYPE
) -> Form:
    form = Form(content_type, ("age_years", "view"), max_files)
    for start in range(0, len(body), piece):
        form.write(body[start : start + piece])
    form.finish()
    return form


def part(disposition: str, content: bytes, content_type: str | None = None) -> bytes:
    head = f"Content-Disposition: form-data; {disposition}\r\n"
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + b"\r\n" + content


@pytest.mark.parametrize("piece", [1, 7, 100, 2**20])
def test_files_and_texts_come_out_as_they_went_in(piece: int) -> None:
    form = parse(form_of(FILE + CONTENT, AGE + b"61", FILE + b""), piece)
    assert form.files == [CONTENT, b""]
    assert form.texts == {"age_years": ["61"]}
    assert not form.has_unknown_fields


def test_every_text_of_a_name_is_kept_in_order() -> None:
    assert parse(form_of(AGE + b"4", AGE + b"", AGE + b"61")).texts == {
        "age_years": ["4", "", "61"]
    }


def test_what_is_no_utf8_is_replaced() -> None:
    assert parse(form_of(AGE + b"\xff")).texts == {"age_years": ["\N{REPLACEMENT CHARACTER}"]}


@pytest.mark.parametrize("name", ["file", "files", "file[]", "files[]", "file[0]", "files[12]"])
def test_fields_as_php_and_others_name_several_hold_files(name: str) -> None:
    assert parse(form_of(part(f'name="{name}"; filename="a.jpg"', JPEG))).files == [JPEG]


@pytest.mark.parametrize(
    ("disposition", "content_type"),
    [
        ('name="file"; filename="a.jpg"', None),
        ("name=file; filename=a.jpg", None),
        ("name=\"file\"; filename*=UTF-8''t%C3%B3rax.jpg", "text/plain"),
        ('name="file"; filename=""', "application/octet-stream"),
        ('name="file"', "image/jpeg"),
        ('name="file"', "application/octet-stream"),
        ('name="file"', "text/plain; charset=utf-8"),
        ('name="file"', None),
    ],
)
@pytest.mark.parametrize("content", [JPEG, JPEG * 20])
def test_an_image_in_a_files_field_is_a_file_however_it_is_named(
    disposition: str, content_type: str | None, content: bytes
) -> None:
    assert parse(form_of(part(disposition, content, content_type))).files == [content]


@pytest.mark.parametrize("text", [b"chest.jpg", b"/9j/4AAQSkZJRg" * 1000])
def test_text_in_a_files_field_is_no_file(text: bytes) -> None:
    form = parse(form_of(part('name="file"', text)))
    assert form.files == []
    assert form.text_in_file_field


def test_a_second_input_that_was_left_empty_is_absent() -> None:
    empty = part('name="file"; filename=""', b"", "application/octet-stream")
    assert parse(form_of(FILE + JPEG, empty), max_files=1).files == [JPEG]
    assert parse(form_of(empty, FILE + JPEG), max_files=1).files == [JPEG]
    assert parse(form_of(empty)).files == []


def test_other_fields_are_passed_over_however_many_and_long_and_told() -> None:
    other_file = part('name="thumbnail"; filename="t.jpg"', JPEG)
    body = form_of(*[OTHER + b"x" * 100_000] * 40, other_file, FILE + JPEG)
    form = parse(body, max_files=1)
    assert (form.files, form.texts) == ([JPEG], {})
    assert form.has_unknown_fields


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (form_of(FILE + CONTENT)[:-20], Malformed, "form_incomplete"),
        (form_of(FILE + CONTENT, end=b""), Malformed, "form_incomplete"),
        (b"", Malformed, "form_incomplete"),
        (b"no boundary in here", Malformed, "form_syntax"),
        (form_of(b"Content-Disposition: form-data\r\n\r\nx"), Malformed, "part_without_name"),
        (form_of(b"\r\nx"), Malformed, "part_without_name"),
        (form_of(*[OTHER + b"1"] * 1001), Malformed, "too_many_parts"),
        (form_of(*[FILE + b"x"] * 3), TooManyFiles, None),
        (form_of(b"X: " + b"x" * 100_000 + b"\r\n" + FILE + b"x"), Malformed, "form_syntax"),
    ],
)
@pytest.mark.parametrize("piece", [50, 2**20])
def test_what_can_not_be_taken_is_refused_by_what_is_wrong(
    body: bytes, error: type[RequestError], reason: str | None, piece: int
) -> None:
    with pytest.raises(error) as refusal:
        parse(body, piece)
    assert refusal.value.facts.get("reason") == reason


def test_as_much_as_is_allowed_is_taken() -> None:
    parts = [AGE + b"1" * 5000] * 998 + [FILE + b"x"] * 2
    form = parse(form_of(*parts))
    assert len(form.files) == 2
    assert form.texts["age_years"] == ["1" * 4096] * 998


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 999}",
    ],
)
def test_a_form_without_a_usable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(Malformed) as refusal:
        parse(form_of(FILE + b"x"), content_type=content_type)
    assert refusal.value.facts == {"reason": "no_boundary"}
    assert "boundary" in refusal.value.detail("en")
