"""A multipart form (RFC 7578), parsed while it comes. Its files are held in memory, never on disk.

Starlette's parser writes files to temporary ones, and copies them twice on the way.
"""

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import Malformed, TooManyFiles

_MAX_FIELDS: Final = 16
_MAX_FIELD_BYTES: Final = 4096


class Form:
    """Takes a form's bytes as they come. After `finish`, `files` and `texts` hold its parts.

    Parameters
    ----------
    content_type : the request's, which tells the boundary
    max_files : parts with a file's name, whatever their field

    Attributes
    ----------
    files : pairs of a field and a file's content, in order
    texts : fields that are no files; the last of those with one name

    Raises
    ------
    Malformed, TooManyFiles
        From every method: what is told can't be read, or is more than is taken.
    """

    def __init__(self, content_type: str, max_files: int) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.texts: dict[str, str] = {}
        self._max_files = max_files
        self._fields = 0
        self._complete = False
        self._header = [b"", b""]
        self._disposition = b""
        self._name = ""
        self._is_file = False
        self._pieces: list[memoryview] = []
        self._field_bytes = 0
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Malformed
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise Malformed from None

    def write(self, data: bytes) -> None:
        """Take some more."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise Malformed from None

    def finish(self) -> None:
        """Take no more. A form that was cut off would lack its last part without a word."""
        if not self._complete:
            raise Malformed

    def _begin_part(self) -> None:
        self._disposition, self._pieces, self._field_bytes = b"", [], 0

    def _add(self, index: int, text: bytes) -> None:
        self._header[index] += text

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _begin_content(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise Malformed
        self._name = options[b"name"].decode(errors="replace")
        self._is_file = b"filename" in options
        if self._is_file:
            if len(self.files) == self._max_files:
                raise TooManyFiles(max_files=self._max_files)
        else:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise Malformed

    def _take(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._field_bytes += end - start
            if self._field_bytes > _MAX_FIELD_BYTES:
                raise Malformed
        self._pieces.append(memoryview(data)[start:end])

    def _end_part(self) -> None:
        content = b"".join(self._pieces)
        self._pieces = []
        if self._is_file:
            self.files.append((self._name, content))
        else:
            self.texts[self._name] = content.decode(errors="replace")

    def _end(self) -> None:
        self._complete = True
