"""app.http.body.related_parts: what a STOW-RS body holds, whatever pieces it comes in."""

import tracemalloc

import pytest

from app.errors import Malformed, RequestError, TooManyFiles, UnsupportedMediaType
from app.http.body.related_parts import Part, RelatedParts, WholePart

TYPE = 'multipart/related; type="application/dicom"; boundary=bound'
FILMS = [b"DICM one\r\n--boun", b"", b"\r\n\r\nDICM three\r\n"]


def body(*contents: bytes, head: bytes = b"Content-Type: application/dicom") -> bytes:
    parts = b"".join(
        b"--bound\r\n" + head + (b"\r\n" if head else b"") + b"\r\n" + content + b"\r\n"
        for content in contents
    )
    return parts + b"--bound--\r\n"


def parse(
    data: bytes, content_type: str = TYPE, most_bytes: int = 1000, step: int = 0, most: int = 1000
) -> list[Part]:
    parts = RelatedParts(content_type, most_bytes, most)
    step = step or len(data) or 1
    ready = [part for at in range(0, len(data), step) for part in parts.write(data[at : at + step])]
    return ready + parts.finish()


@pytest.mark.parametrize("step", [0, 1, 2, 7, 64])
def test_parts_come_out_as_they_went_in(step: int) -> None:
    assert parse(body(*FILMS), step=step) == [Part(film) for film in FILMS]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; boundary=bound",
        'multipart/related; boundary="bound"; type="application/dicom"',
        "multipart/related; type=application/dicom; boundary=bound",
        'multipart/related; type="application/dicom; transfer-syntax=*"; boundary=bound',
        'Multipart/Related; Type="Application/DICOM"; Boundary=bound; start="<1>"',
    ],
)
def test_the_boundary_may_be_quoted_and_the_type_missing(content_type: str) -> None:
    assert parse(body(b"film"), content_type) == [Part(b"film")]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: application/dicom",
        b"content-type:application/dicom;transfer-syntax=1.2.840.10008.1.2.1",
        b"Content-Length: 4\r\nContent-Type: APPLICATION/DICOM\r\nContent-Location: film",
        b"Content-Type: application/octet-stream",
        b"",
    ],
)
def test_headers_of_a_part_as_clients_write_them(head: bytes) -> None:
    assert parse(body(b"film", head=head)) == [Part(b"film")]


def test_line_breaks_may_come_before_the_first_boundary() -> None:
    assert parse(b"\r\n" + body(b"film")) == [Part(b"film")]


def test_a_part_is_handed_out_as_soon_as_it_is_complete() -> None:
    parts = RelatedParts(TYPE, 1000)
    whole = body(b"first", b"second")
    middle = whole.index(b"second")
    assert parts.write(whole[:middle]) == [Part(b"first")]
    assert parts.write(whole[middle : middle + 3]) == []
    assert parts.held_bytes == 3
    assert parts.write(whole[middle + 3 :]) == [Part(b"second")]
    assert parts.held_bytes == 0


@pytest.mark.parametrize(
    ("content_type", "data", "kind", "reason"),
    [
        ("multipart/related; type=application/dicom", body(b"x"), Malformed, "related_boundary"),
        (f"multipart/related; boundary={'b' * 300}", body(b"x"), Malformed, "related_boundary"),
        (TYPE, b"no boundary in here", Malformed, "related_syntax"),
        (TYPE, b"--bound\r\nno colon\r\n\r\nx\r\n--bound--", Malformed, "related_syntax"),
        (TYPE, body(b"film")[:-8], Malformed, "related_incomplete"),
        (TYPE, b"", Malformed, "related_incomplete"),
        (TYPE.replace("dicom", "dicom+json"), body(b"x"), UnsupportedMediaType, "not_related"),
        (
            TYPE,
            body(b"x", head=b"Content-Type: application/dicom+json"),
            UnsupportedMediaType,
            "part_not_dicom",
        ),
        (
            TYPE,
            body(body(b"film"), head=b"Content-Type: multipart/related; boundary=b"),
            UnsupportedMediaType,
            "part_not_dicom",
        ),
    ],
)
def test_what_can_not_be_taken_apart(
    content_type: str, data: bytes, kind: type[RequestError], reason: str
) -> None:
    with pytest.raises(kind) as refused:
        parse(data, content_type)
    assert refused.value.facts == {"reason": reason}


def test_more_parts_than_are_taken() -> None:
    assert len(parse(body(*[b"x"] * 5), most=5)) == 5
    with pytest.raises(TooManyFiles) as refused:
        parse(body(*[b"x"] * 6), most=5)
    assert refused.value.facts == {"max_files": 5, "reason": "parts"}


@pytest.mark.parametrize(
    "heads",
    [
        b"\r\n".join(b"X-%d: y" % number for number in range(1000)),
        b"X: " + b"y" * 100_000,
        b"X" * 100_000 + b": y",
    ],
)
def test_headers_without_end_are_refused(heads: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body(b"film", head=heads), step=4096)


def test_of_a_part_that_is_too_large_the_head_is_held_and_the_next_is_taken() -> None:
    large = bytes(range(256)) * 16 * 1024  # 4 MiB
    parts = RelatedParts(TYPE, 2**21)
    data = body(large, b"next")
    most, ready = 0, []
    for at in range(0, len(data), 65_536):
        ready += parts.write(data[at : at + 65_536])
        most = max(most, parts.held_bytes)
    assert ready == [Part(large[: 2**20], over_bytes=2**21), Part(b"next")]
    assert most <= 2**21


def test_a_body_of_many_films_holds_the_memory_of_one() -> None:
    parts = RelatedParts(TYPE, 2**20)
    piece = b"\0" * 65_536
    tracemalloc.start()
    try:
        for _ in range(40):
            parts.write(b"--bound\r\nContent-Type: application/dicom\r\n\r\n")
            for _ in range(15):
                parts.write(piece)
            (part,) = parts.write(b"\r\n--bound\r\n")[:1] or [None]
            del part
            parts.write(b"\r\nx\r\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_whole_body_is_one_part() -> None:
    whole = WholePart(1000)
    assert whole.write(b"fi") == whole.write(b"lm") == []
    assert whole.held_bytes == 4
    assert whole.finish() == [Part(b"film")]
    assert WholePart(1000).finish() == []


def test_a_whole_body_that_is_too_large_is_one_part_too() -> None:
    whole = WholePart(10)
    whole.write(b"x" * 11)
    whole.write(b"x" * 11)
    assert whole.finish() == [Part(b"x" * 10, over_bytes=10)]
