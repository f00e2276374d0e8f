"""What STOW-RS sends: parts of multipart/related, in pieces of any length, and what each is."""

from collections.abc import Iterator

from app.errors import RequestError
from app.exchange.film_sort import sort_film
from app.http.accept import choose_media_type
from app.http.body.related_parts import Part, RelatedParts
from tests.fuzz.dicom_films import seeds
from tests.fuzz.pictures import check_refusal
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged

_TYPE = 'multipart/related; type="application/dicom"; boundary=bound'
_MOST_PART_BYTES = 30_000
_MOST_PARTS = 40
_WORDS = [
    b"--bound", b"--bound--", b"\r\n", b"\r\n--bound\r\n", b"Content-Type: application/dicom\r\n",
    b"Content-Type: multipart/related; boundary=b\r\n", b"Content-Type: ", b"X: y\r\n" * 40,
    b"X: " + b"y" * 5000, b"Content-Length: -1\r\n", b"--bound\r\n\r\n\r\n" * 50, b"\0", b": ",
]  # fmt: skip


class Stored(Target):
    """Bodies of multipart/related. The boundary is ``bound``."""

    name = "related"
    suffix = "related"
    share = 4

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged bodies."""
        return damaged(bodies(), first, count, lambda body, dice: damage_bytes(body, dice, _WORDS))

    def run(self, data: bytes) -> str:
        """Read it whole and in small pieces: both have to end alike. Sort what it holds."""
        ends = [_read(data, step) for step in (len(data) or 1, 1 + len(data) // 7)]
        if ends[0] != ends[1]:
            raise Wrong("pieces are read otherwise than the whole")
        code, parts = ends[0]
        for part in parts:
            film = sort_film(part.data)
            if film.error is not None and isinstance(film.error, RequestError):
                check_refusal(film.error)
            if CANARY[:6].decode() in f"{film.sop_class}{film.sop_uid}{film.study_uid}":
                raise Wrong("a name is taken for a UID")
        choose_media_type(data[:200].decode("latin-1"), ("application/dicom+json",))
        return code


def _read(data: bytes, step: int) -> tuple[str, list[Part]]:
    """Return how a body ends; its parts, if it ends well."""
    found: list[Part] = []
    try:
        parts = RelatedParts(_TYPE, _MOST_PART_BYTES, _MOST_PARTS)
        for at in range(0, len(data), step):
            found += parts.write(data[at : at + step])
            if parts.held_bytes > max(_MOST_PART_BYTES, 2**20):
                raise Wrong("more is held than a part may have")
        found += parts.finish()
    except RequestError as error:
        check_refusal(error)
        return error.code, []
    return "read", found


def bodies() -> list[bytes]:
    """Return whole bodies, as Orthanc, dicomweb-client and others write them."""
    films = [film for film in seeds() if len(film) < _MOST_PART_BYTES]

    def part(film: bytes, head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
        return b"--bound\r\n" + head + b"\r\n" + film + b"\r\n"

    end = b"--bound--\r\n"
    orthanc = b"Content-Type: application/dicom\r\nContent-Length: %d\r\n"
    return [
        part(films[0]) + end,
        b"\r\n" + part(films[1]) + b"--bound--",
        b"".join(part(film, orthanc % len(film)) for film in films[:4]) + end,
        part(films[2], b"") + part(b"x" * (_MOST_PART_BYTES + 1)) + part(films[3]) + end,
        part(films[0], b'Content-Type: application/dicom; transfer-syntax="*"\r\n' * 2) + end,
        b"".join(part(b"") for _ in range(30)) + end,
    ]
