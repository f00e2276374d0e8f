"""A body of multipart/related (RFC 2387), as STOW-RS sends it (PS3.18 section 8.6.1.2.1).

Parsed while it comes: each part is handed out once it is complete, so that a body of many films
holds the memory of one.
"""

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import Malformed, TooManyFiles, UnsupportedMediaType

MOST_PARTS: Final = 1000
DICOM_TYPE: Final = "application/dicom"

_MAX_HEADERS: Final = 32
_MAX_HEADER_BYTES: Final = 4096
_HEAD_BYTES: Final = 2**20
_TYPES: Final = (DICOM_TYPE, "application/octet-stream")
_CONTENT_TYPE: Final = b"content-type"


@dataclass(frozen=True, slots=True)
class Part:
    """The content of one part.

    Parameters
    ----------
    data : its bytes; of one that is too large the first MiB at most
    over_bytes : the most that a part may have, if it has more
    """

    data: bytes
    over_bytes: int | None = None


class _Content:
    """The content of a part, while it comes; of one that is too large only the head is held."""

    def __init__(self, most_bytes: int) -> None:
        self.held_bytes = 0
        self._most_bytes = most_bytes
        self._pieces: list[bytes] = []
        self._is_over = False

    def add(self, piece: bytes) -> None:
        """Hold some more."""
        if self._is_over:
            return
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        if self.held_bytes > self._most_bytes:
            self._is_over = True
            head_bytes = min(_HEAD_BYTES, self._most_bytes)
            self._pieces = [b"".join(self._pieces)[:head_bytes]]
            self.held_bytes = len(self._pieces[0])

    def close(self) -> Part:
        """Return the part, and hold nothing."""
        part = Part(b"".join(self._pieces), self._most_bytes if self._is_over else None)
        self._pieces, self.held_bytes, self._is_over = [], 0, False
        return part


class WholePart:
    """Takes a body that is one instance, without parts around it."""

    def __init__(self, max_part_bytes: int) -> None:
        self._content = _Content(max_part_bytes)

    @property
    def held_bytes(self) -> int:
        """Bytes that are held."""
        return self._content.held_bytes

    def write(self, data: bytes) -> list[Part]:
        """Take some more; nothing is complete yet."""
        self._content.add(data)
        return []

    def finish(self) -> list[Part]:
        """Return the one part; none if nothing came."""
        part = self._content.close()
        return [part] if part.data else []


class RelatedParts:
    """Takes a body's bytes as they come, and hands out the parts that they complete.

    A part's Content-Type has to be application/dicom, or application/octet-stream, or missing.

    Parameters
    ----------
    content_type : the request's: its boundary may be quoted, and `type`, if it is there, has to be
        application/dicom
    max_part_bytes : of which a part's content may consist
    max_parts : most parts that are taken

    Raises
    ------
    Malformed, TooManyFiles, UnsupportedMediaType
        From every method.
    """

    def __init__(self, content_type: str, max_part_bytes: int, max_parts: int = MOST_PARTS) -> None:
        self._content = _Content(max_part_bytes)
        self._max_parts = max_parts
        self._begun = 0
        self._ready: list[Part] = []
        self._complete = False
        self._field = b""
        self._value = b""
        self._part_type = b""
        options = parse_options_header(content_type)[1]
        if _bare(options.get(b"type", b"")) not in ("", DICOM_TYPE):
            raise UnsupportedMediaType(reason="not_related")
        boundary = options.get(b"boundary")
        if not boundary:
            raise Malformed(reason="related_boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_field,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError:
            raise Malformed(reason="related_boundary") from None

    @property
    def held_bytes(self) -> int:
        """Bytes of the part that is not complete yet."""
        return self._content.held_bytes

    def write(self, data: bytes) -> list[Part]:
        """Take some more; return the parts that are complete now."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise Malformed(reason="related_syntax") from None
        ready, self._ready = self._ready, []
        return ready

    def finish(self) -> list[Part]:
        """Take no more. A body that was cut off would lack its last part without a word."""
        if not self._complete:
            raise Malformed(reason="related_incomplete")
        return []

    def _begin_part(self) -> None:
        self._begun += 1
        if self._begun > self._max_parts:
            raise TooManyFiles(max_files=self._max_parts, reason="parts")
        self._field, self._value, self._part_type = b"", b"", b""

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == _CONTENT_TYPE:
            self._part_type = self._value
        self._field, self._value = b"", b""

    def _begin_content(self) -> None:
        if _bare(self._part_type) not in ("", *_TYPES):
            raise UnsupportedMediaType(reason="part_not_dicom")

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._content.add(data[start:end])

    def _end_part(self) -> None:
        self._ready.append(self._content.close())

    def _end(self) -> None:
        self._complete = True


def _bare(media_type: bytes) -> str:
    """Return a media type without its parameters, in lower case."""
    return media_type.partition(b";")[0].strip().lower().decode("latin-1")
