"""Partners to test with: an archive that takes C-STORE, a server that takes HTTP; both real."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from app.exchange.dimse.pynetdicom_logs import quiet_pynetdicom
from app.records.outbox.queue_entries import DueDelivery
from app.render.hospital.result_set import Result, make_results
from app.render.hospital.source_image import read_source_image
from tests.app.render.hospital.results import MADE_AT, film, read

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


@cache
def made_results() -> tuple[Result, ...]:
    """Return real results of a film."""
    data = film()
    return tuple(make_results(read(data), read_source_image(data), "en", MADE_AT))


def due(kind: str, partner: str = "p", number: int = 1) -> DueDelivery:
    """Return a result of a kind as the queue hands it out."""
    (result,) = (result for result in made_results() if result.kind == kind)
    return DueDelivery(
        f"D{number}", "F1", partner, result.kind, result.uid, result.media_type, result.data, 1
    )


@dataclass
class Archive:
    """What an archive was sent, and what it answers: a status each, the last one again and again.

    Parameters
    ----------
    stored : SOP Instance UID and encoded data set
    """

    title: str = "PACS"
    statuses: Sequence[int] = (0x0000,)
    classes: Sequence[str] = (COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE)
    syntaxes: Sequence[str] = (EXPLICIT,)
    callers: Sequence[str] = ()
    port: int = 0
    stored: list[tuple[str, bytes]] = field(default_factory=list)
    associations: list[str] = field(default_factory=list)
    on_store: Callable[[evt.Event], None] = lambda _: None

    @property
    def address(self) -> str:
        return f"dicom://{self.title}@127.0.0.1:{self.port}"

    @contextmanager
    def running(self, context: ssl.SSLContext | None = None) -> Iterator["Archive"]:
        """Listen, until the block ends."""
        quiet_pynetdicom()
        entity = ApplicationEntity(self.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(self.callers)
        for sop_class in self.classes:
            entity.add_supported_context(sop_class, list(self.syntaxes))
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)]
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=context
        )
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def _accepted(self, event: evt.Event) -> None:
        self.associations.append(event.assoc.requestor.ae_title)

    def _store(self, event: evt.Event) -> int:
        self.on_store(event)
        self.stored.append((event.request.AffectedSOPInstanceUID, event.request.DataSet.getvalue()))
        return self.statuses[min(len(self.stored), len(self.statuses)) - 1]


@dataclass
class Request:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """A server over HTTP: what it was sent, and what it answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause_s: float = 0.0
    """After each byte of the body, if it is to come slowly."""
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @contextmanager
    def running(self, context: ssl.SSLContext | None = None) -> Iterator["Web"]:
        """Listen, until the block ends."""
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.requests.append(Request(self.path, dict(self.headers), body))
                self.send_response(web.status)
                for name, value in web.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(web.body)))
                self.end_headers()
                size = 1 if web.pause_s else len(web.body) or 1
                with suppress(ConnectionError):
                    for at in range(0, len(web.body), size):
                        self.wfile.write(web.body[at : at + size])
                        time.sleep(web.pause_s)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
