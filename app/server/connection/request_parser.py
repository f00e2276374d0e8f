"""Bytes to requests: httptools' parser, with bounds on what it would take without end.

Of a body of declared length the parser sees the first piece: the others are counted here and handed
on as they came, which saves their copies.
"""

import urllib.parse
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httptools

from app.errors import HeadTooLarge, Malformed, RequestError

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(slots=True)  # to freeze it would cost a microsecond a request
class RequestHead:
    """The line and the headers of a request, their names in lower case.

    Parameters
    ----------
    keep_alive : whether the connection may go on after the answer (RFC 9112, section 9.3)
    expects_continue : whether the client waits for a 100 before it sends the body
    """

    method: bytes
    target: bytes
    version: str
    headers: RawHeaders
    keep_alive: bool
    expects_continue: bool

    @property
    def path(self) -> bytes:
        """The target without the query."""
        return self.target.partition(b"?")[0]

    def scope(self, root_path: str) -> dict[str, Any]:
        """Return what ASGI's scope says of it."""
        url = httptools.parse_url(self.target)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        if "%" in path:
            path = urllib.parse.unquote(path)
        return {
            "type": "http",
            "http_version": self.version,
            "method": self.method.decode("ascii"),
            "root_path": root_path,
            "path": root_path + path,
            "raw_path": root_path.encode("ascii") + raw_path,
            "query_string": url.query or b"",
            "headers": self.headers,
        }


_MOST_HEADERS: Final = 200  # each takes far more memory than the bytes that are counted


class StopParsing(Exception):
    """Raised by a `RequestHandler` that takes nothing more, not even of the same segment."""


class RequestHandler(Protocol):
    """What is told of the requests that come."""

    def on_head_begun(self) -> None:
        """Note that the first byte of a head has come."""

    def on_head(self, head: RequestHead) -> None:
        """Take a whole head."""

    def on_body_piece(self, piece: bytes) -> None:
        """Take a piece of the body."""

    def on_body_end(self) -> None:
        """Note that the body, if there was one, is whole."""


class RequestParser:
    """Parses one connection's requests.

    Parameters
    ----------
    max_head_bytes : of a request's line and headers; also of its trailers, of a chunk's extensions
        and of whatever else comes between two pieces of a body
    """

    def __init__(self, handler: RequestHandler, max_head_bytes: int) -> None:
        self._handler = handler
        self._max_head_bytes = max_head_bytes
        self._parser = self._new_parser()
        self._in_head = False
        self._target = b""
        self._headers: RawHeaders = []
        self._head_bytes = 0
        self._expects_continue = False
        self._unending_bytes = 0  # since a head began, or the last piece of a body
        self._declared_bytes = 0
        self._body_left = 0  # of a body of declared length

    def feed(self, data: bytes) -> None:
        """Parse a segment.

        Raises
        ------
        HeadTooLarge : also for endless trailers
        Malformed : and no more can be parsed
        """
        if self._unending_bytes > self._max_head_bytes:
            raise HeadTooLarge(max_head_bytes=self._max_head_bytes)
        if 0 < len(data) < self._body_left:
            self._unending_bytes = 0
            self._body_left -= len(data)
            self._handler.on_body_piece(data)  # not copied, as the parser would
            return
        self._unending_bytes += len(data)
        rest = memoryview(data)
        if self._body_left:
            rest = self._end_body(rest)
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError as error:
            cause = error.__context__  # what a callback raised
            if isinstance(cause, RequestError):
                raise cause from None
            if not isinstance(cause, StopParsing):
                raise self._malformed(error) from None

    def close(self) -> None:
        """Let go of those that hold this one too."""
        del self._parser, self._handler

    def on_message_begin(self) -> None:
        """Begin a head. One that is parsed again has begun: see `_parse`."""
        if not self._in_head:
            self._handler.on_head_begun()
        self._in_head = True
        self._target = b""
        self._headers = []
        self._head_bytes = 0
        self._expects_continue = False
        self._unending_bytes = 0
        self._declared_bytes = self._body_left = 0

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the target."""
        self._target += piece
        self._head_bytes += len(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers are dropped: no answer depends on them."""
        if not self._in_head:
            return
        if len(self._headers) == _MOST_HEADERS:
            raise HeadTooLarge(max_head_bytes=self._max_head_bytes)
        name = name.lower()
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value) + 4
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        elif name == b"content-length" and value.isdigit():  # else the parser fails
            self._declared_bytes = int(value)

    def on_headers_complete(self) -> None:
        """Hand the head on, if it is no longer than allowed."""
        method = self._parser.get_method()
        if self._parser.should_upgrade():
            if method == b"CONNECT":
                raise Malformed
            return  # it comes again, see `_parse`
        self._in_head = False
        self._unending_bytes = 0
        self._body_left = self._declared_bytes
        version = self._parser.get_http_version()
        if self._head_bytes > self._max_head_bytes:
            raise HeadTooLarge(max_head_bytes=self._max_head_bytes)
        old = version == "1.0"  # which knows no expectation (RFC 9110, section 10.1.1)
        keep_alive = not old and self._parser.should_keep_alive()
        expects_continue = not old and self._expects_continue
        self._handler.on_head(
            RequestHead(method, self._target, version, self._headers, keep_alive, expects_continue)
        )

    def on_chunk_header(self) -> None:
        """Count what comes as trailers, until it turns out to be a chunk's bytes."""
        self._unending_bytes = 0

    def on_body(self, piece: bytes) -> None:
        """Hand a piece of the body on."""
        self._unending_bytes = 0
        self._body_left = max(0, self._body_left - len(piece))
        self._handler.on_body_piece(piece)

    def on_message_complete(self) -> None:
        """Note the body's end, which isn't that of a head that comes again."""
        if not self._in_head:
            self._handler.on_body_end()

    def _end_body(self, data: memoryview) -> memoryview:
        """Take the rest of a body whose length was declared; the parser has seen its begin only."""
        piece, rest = data[: self._body_left], data[self._body_left :]
        self._body_left = self._unending_bytes = 0
        self._parser = self._new_parser()
        self._handler.on_body_piece(bytes(piece))
        self._handler.on_body_end()
        return rest

    def _malformed(self, error: httptools.HttpParserError) -> Malformed:
        """Name the address line where that is what could not be read."""
        # A space in it ends the target, and no version follows.
        no_version = bool(self._target) and str(error).startswith("Expected HTTP/")
        if isinstance(error, httptools.HttpParserInvalidURLError) or no_version:
            return Malformed(reason="address")
        return Malformed()

    def _parse(self, data: memoryview) -> memoryview:
        """Parse, and return what is still to be parsed.

        A head that asks for another protocol is parsed a second time without that wish, which a
        server may ignore (RFC 9110, section 7.8): httptools takes such a request's body for the
        other protocol's first bytes.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            parsed: int = upgrade.args[0]
        else:
            return data[:0]
        # Not within the `except`, or what a callback raises would have another context.
        version = self._parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._target, version)]
        head += [b"%b: %b\r\n" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = self._new_parser()
        self._parser.feed_data(b"".join([*head, b"\r\n"]))
        return data[parsed:]

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # Or what follows a request that closes would be malformed, which costs its answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser
