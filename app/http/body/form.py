"""A multipart form (RFC 7578), parsed while it comes. Its files are held in memory, never on disk.

Starlette's parser writes files to temporary ones, and copies them twice on the way.
"""

import re
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import Malformed, TooManyFiles
from app.image.file_format import known_format

FILE_FIELD: Final = re.compile(r"files?(\[\d*\])?")
"""The names of fields that hold images: file, and as PHP, axios and others name several."""

_MAX_PARTS: Final = 1000  # over it parsing would keep the event loop busy
_MAX_TEXT_BYTES: Final = 4096


class Form:
    """Takes a form's bytes as they come. After `finish`, its attributes hold the parts.

    A part is a file if its field is one of `FILE_FIELD` and it has a file's name, or a
    Content-Type that is no text's, or else begins as an image does. An input that was left empty
    (a file's name of no letters, and no bytes) counts as absent.

    Parameters
    ----------
    content_type : the request's, which tells the boundary
    text_fields : names of the fields that are text and are kept
    max_files : most files that are taken

    Attributes
    ----------
    files : the files' contents, in order
    texts : the values of each text field that came, in order
    text_in_file_field : whether a file's field came with text instead
    has_unknown_fields : whether a field came that is neither

    Raises
    ------
    Malformed, TooManyFiles
        From every method: what is told can't be read, or is more than is taken.
    """

    def __init__(self, content_type: str, text_fields: tuple[str, ...], max_files: int) -> None:
        self.files: list[bytes] = []
        self.texts: dict[str, list[str]] = {}
        self.text_in_file_field = False
        self.has_unknown_fields = False
        self._text_fields = text_fields
        self._max_files = max_files
        self._parts = 0
        self._complete = False
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._pieces: list[memoryview] = []
        self._most_bytes: int | None = None
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Malformed(reason="no_boundary")
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
            raise Malformed(reason="no_boundary") from None

    def write(self, data: bytes) -> None:
        """Take some more."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise Malformed(reason="form_syntax") from None

    def finish(self) -> None:
        """Take no more. A form that was cut off would lack its last part without a word."""
        if not self._complete:
            raise Malformed(reason="form_incomplete")

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Malformed(reason="too_many_parts")
        self._headers, self._pieces = {}, []

    def _add(self, index: int, text: bytes) -> None:
        self._header[index] += text

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = [b"", b""]

    def _begin_content(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        if b"name" not in options:
            raise Malformed(reason="part_without_name")
        self._name = options[b"name"].decode(errors="replace")
        if FILE_FIELD.fullmatch(self._name):
            self._most_bytes = None
        else:
            self._most_bytes = _MAX_TEXT_BYTES if self._name in self._text_fields else 0

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._most_bytes is not None:
            end = min(end, start + self._most_bytes)
            self._most_bytes -= end - start
        if start < end:
            self._pieces.append(memoryview(data)[start:end])

    def _end_part(self) -> None:
        content = b"".join(self._pieces)
        self._pieces = []
        if FILE_FIELD.fullmatch(self._name):
            self._keep_file(content)
        elif self._name in self._text_fields:
            self.texts.setdefault(self._name, []).append(content.decode(errors="replace"))
        else:
            self.has_unknown_fields = True

    def _keep_file(self, content: bytes) -> None:
        disposition = self._headers[b"content-disposition"]
        file_name = parse_options_header(disposition)[1].get(b"filename")
        named = file_name is not None or b"filename*" in disposition.lower()
        content_type = self._headers.get(b"content-type", b"text/plain").strip().lower()
        if not content and not file_name:
            return
        if not (named or known_format(content) or not content_type.startswith(b"text/")):
            self.text_in_file_field = True
            return
        if len(self.files) == self._max_files:
            raise TooManyFiles(max_files=self._max_files)
        self.files.append(content)

    def _end(self) -> None:
        self._complete = True
