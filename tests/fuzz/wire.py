"""Requests as they come over the wire, through the whole service, asked by every kind of caller.

The connection, what stands in front of the routes and the routes are those that serve; only the
socket and the model are not. An input is what a client sends, in which ``{predict}``, ``{admin}``
and so on stand for keys.
"""

import asyncio
import io
import json
import logging
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from app.access.caller import SCOPES, parse_scopes
from app.access.key import Key
from app.access.key_file import change_keys
from app.http.answer import problem_answer
from app.main import create_app
from app.records import records
from app.records.store.opening import prepare_records
from app.server.connection.connection import Connection
from app.server.connection.connection_rules import ConnectionRules
from app.service.logs import JsonFormatter, configure_logging
from app.settings.settings import Settings
from tests.app.server.connection.test_connection import Transport
from tests.fuzz.pictures import jpegs, pngs
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged
from tests.fuzz.words import forms
from tests.models import FakeModel

_CALLERS: Final = (*SCOPES, "expired", "revoked", "unknown", "nobody")
_WAIT_S = 8.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
_NEEDED: Final = {
    "/predict": "predict",
    "/explain": "predict",
    "/preview": "predict",
    "/model": "predict",
    "/admin": "admin",
    "/feedback": "feedback",
    "/performance": "metrics",
    "/metrics": "metrics",
}
"""The scope of each call, by how its path begins; by hand, beside the table that decides."""
_WORDS = [
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: +5\r\n",
    b"Transfer-Encoding: identity, chunked\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
    b"Content-Encoding: gzip\r\n", b"Host: a, b\r\n", b"\r\n X-Fold: 1\r\n", b"\r\n\tfolded\r\n",
    b"X-API-Key: {admin}\r\n", b"Authorization: Bearer {predict}\r\n",
    b"X-API-Key: {unknown}\r\n",
    b"Authorization: Basic eDp5\r\n", b"Origin: http://viewer.example\r\n", b"Origin: null\r\n",
    b"Accept-Language: es\r\n", b"X-Request-ID: " + CANARY + b"\r\n",
    b"%2e%2e/", b"//", b"%00", b"%2f", b"/../", b";x=1", b"%ff", b"?" + CANARY,
    b"\n", b"\r", b"\0", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0",
    b"http://a.example", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"GET /metrics HTTP/1.1\r\n\r\n",
    "é".encode(), b"x" * 40_000,
]  # fmt: skip


class Wire(Target):
    """Bytes of a client, up to several requests after one another."""

    name = "wire"
    suffix = "http"
    share = 8

    def open(self) -> None:
        """Start the service on an event loop, without a socket."""
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._secrets = _make_keys(folder / "keys")
        self._settings = Settings(
            keys_file=str(folder / "keys"),
            audit_folder=str(folder / "audit"),
            audit_flush_ms=20,
            cors_origins="https://viewer.example",
            min_side_px=16,
        )
        (folder / "audit").mkdir(mode=0o700)
        prepare_records(self._settings)
        vars(records)["_MARGIN_S"] = 0.0  # or an unknown film would be waited for
        self._model = FakeModel()
        self._loop = asyncio.new_event_loop()
        self._app = create_app(
            self._settings, load_model=lambda _: self._model, load_before_serving=True
        )
        self._log = io.StringIO()
        handler = logging.StreamHandler(self._log)
        handler.setFormatter(JsonFormatter())
        logging.disable(logging.NOTSET)
        configure_logging("info")
        logging.getLogger().handlers = [handler]
        self._life: AbstractAsyncContextManager[Any] = self._app.router.lifespan_context(self._app)
        self._loop.run_until_complete(self._life.__aenter__())
        self._rules = ConnectionRules(
            head_timeout_s=_WAIT_S,
            max_head_bytes=self._settings.max_head_bytes,
            write_timeout_s=_WAIT_S,
            turn_away=lambda *_: None,
            refuse=lambda error, *_: _refusal(error),
        )
        self._config = uvicorn.Config(
            self._watched, interface="asgi3", ws="none", log_config=None, timeout_keep_alive=1
        )
        self._config.load()
        self._let_in: list[str] = []

    def close(self) -> None:
        """Stop the service."""
        self._loop.run_until_complete(self._life.__aexit__(None, None, None))
        self._loop.close()
        kept = [path for path in Path(self._folder.name).rglob("*") if path.is_file()]
        quoted = [path.name for path in kept if CANARY in path.read_bytes()]
        self._folder.cleanup()
        if quoted:
            raise Wrong(f"an input is quoted in {quoted}")

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give requests of somebody, some of them whole, most damaged, some two after another."""
        return damaged(requests(), first, count, self._damage)

    def run(self, data: bytes) -> str:
        """Send it, end the sending, and look at each answer."""
        sent = data
        for caller, secret in self._secrets.items():
            sent = sent.replace(b"{%b}" % caller.encode(), secret)
        answers = self._loop.run_until_complete(self._send(sent))
        self._model.seen.clear()  # or it would keep every film
        logged = self._log.getvalue().encode()
        self._log.seek(0)
        self._log.truncate()
        for said, where in ((answers, "an answer"), (logged, "the log")):
            if CANARY in said or any(secret in said for secret in self._secrets.values()):
                raise Wrong(f"an input is quoted in {where}")
        statuses = [self._check(answer) for answer in _split(answers)]
        if self._let_in:
            raise Wrong(self._let_in.pop())
        return " ".join(statuses[:2]) or "closed"

    @staticmethod
    def _damage(whole: bytes, dice: random.Random) -> bytes:
        caller = dice.choice(_CALLERS).encode()
        shown = {0: b"Authorization: Bearer {%b}\r\n", 1: b"X-API-Key: {%b}\r\n"}
        key = b"" if caller == b"nobody" else shown[dice.randrange(2)] % caller
        request = whole.replace(b"{KEY}", key)
        if dice.random() < 0.05:
            return request
        data = damage_bytes(request, dice, _WORDS)
        return data if dice.random() < 0.9 else data + request

    async def _send(self, data: bytes) -> bytes:
        state = ServerState()
        connection = Connection(self._rules, self._config, state, {})
        transport = Transport()
        transport.get_extra_info = lambda *_: None  # type: ignore[assignment, method-assign]
        connection.connection_made(transport)
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            if piece and not transport.closed:
                connection.data_received(piece)
                await asyncio.sleep(0)
        # What a whole request gets is answered while the client is there; then it leaves.
        end_s = self._loop.time() + _WAIT_S
        while state.tasks and connection._running is not None and _is_read(connection):
            if self._loop.time() > end_s:
                raise Wrong("no answer")
            await asyncio.wait(list(state.tasks), timeout=0.05)
        if not transport.closed:
            connection.eof_received()
        connection.connection_lost(None)
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_WAIT_S)
        if state.tasks:
            raise Wrong("a request goes on when its client has left")
        return transport.written

    def _check(self, answer: tuple[int, dict[bytes, bytes], bytes]) -> str:
        status, headers, body = answer
        if status >= 500:
            raise Wrong(f"{status}")
        if status >= 400:
            if headers.get(b"content-type") != b"application/problem+json":
                raise Wrong(f"{status} is no problem")
            if body:  # none of a HEAD
                problem = json.loads(body)
                if problem["status"] != status or not problem["code"]:
                    raise Wrong("a problem of another status")
                return str(problem["code"])
        return str(status)

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Serve, and note whoever gets an answer that the keys of the head do not open."""
        path, status = str(scope["path"]), 0

        async def note(message: Any) -> None:  # noqa: ANN401
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app(scope, receive, note)
        if not 200 <= status < 300 or scope["method"] == "OPTIONS":
            return
        needed = next((scope for start, scope in _NEEDED.items() if path.startswith(start)), None)
        shown = b"\n".join(value for _, value in scope["headers"])
        if needed is not None and self._secrets[needed] not in shown:
            self._let_in.append(f"{needed} without its key")


def _is_read(connection: Connection) -> bool:
    """Whether the request that is answered has come whole, so its answer has to come."""
    cycle = connection._running
    return cycle is not None and cycle._body_complete


def _refusal(error: Any) -> tuple[dict[str, str], bytes]:  # noqa: ANN401
    fields, body = problem_answer(error, "01J00000000000000000000000", "en")
    return fields | {"content-length": str(len(body))}, body


def _split(answers: bytes) -> Iterator[tuple[int, dict[bytes, bytes], bytes]]:
    """Take answers apart: status, headers, body."""
    at = 0
    while at < len(answers):
        line = _STATUS.match(answers, at)
        if line is None:
            raise Wrong("no status line")
        end = answers.index(b"\r\n\r\n", at) + 4
        fields = answers[line.end() : end - 4].split(b"\r\n")
        headers = dict(field.lower().split(b": ", 1) for field in fields if field)
        at = end
        status, body = int(line[1]), b""
        if status >= 200 and status not in (204, 304) and not _STATUS.match(answers, at):
            if headers.get(b"transfer-encoding") == b"chunked":
                stop = answers.find(b"\r\n0\r\n\r\n", at)
                stop = len(answers) if stop < 0 else stop + 7
                body, at = answers[at:stop], stop
            elif b"content-length" in headers:
                body = answers[at : at + int(headers[b"content-length"])]
                at += len(body)
            else:
                body, at = answers[at:], len(answers)
        yield status, headers, body


def _make_keys(path: Path) -> dict[str, bytes]:
    now = datetime.now(UTC)
    made, secrets = [], {}
    for name in _CALLERS[:-1]:
        scopes = parse_scopes(name if name in SCOPES else ",".join(SCOPES))
        expires = now - timedelta(days=1) if name == "expired" else None
        key, secret = Key.create(name, scopes, now, expires)
        secrets[name] = secret.encode()
        if name != "unknown":
            made.append(key.revoke(now) if name == "revoked" else key)
    change_keys(path, lambda _: made)
    return secrets


@cache
def requests() -> tuple[bytes, ...]:
    """Return whole requests of every call, and of clients that once had trouble with one."""

    def ask(line: bytes, body: bytes | None = None, head: bytes = b"") -> bytes:
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        return (
            line
            + b" HTTP/1.1\r\nHost: localhost\r\n{KEY}"
            + head
            + length
            + b"\r\n"
            + (body or b"")
        )

    film, viewer = jpegs()[0], b"Origin: https://viewer.example\r\n"
    request_id = b"6f1c2a52-0d8b-4c1e-9d2c-3b8f6f0a7e11"
    said = b'{"label": ["normal", "covid19"], "certainty": "probable", "index": 0}'
    words = b"Content-Type: application/x-www-form-urlencoded\r\n"
    preflight = viewer + b"Access-Control-Request-Method: POST\r\n"
    form = b"Content-Type: multipart/form-data; boundary=bound\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(film), film)
    sent = [
        ask(b"POST /predict?heatmap=true&age_years=061Y&view=PA", film),
        ask(b"POST /predict?include=uid&window=1", pngs()[0]),
        *(ask(b"POST /predict", body, form) for body in forms()),
        ask(b"POST /predict/batch", forms()[6], form),
        ask(b"POST /explain?alpha=0.5", film),
        ask(b"POST /preview", forms()[0], form),
        ask(b"POST /predict", None, b"Transfer-Encoding: chunked\r\n") + chunks,
        ask(b"POST /predict", film, b"Content-Type: multipart/form-data\r\n"),
        ask(b"POST /predict", film, b"Content-Encoding: gzip\r\n"),
        ask(b"POST /predict?patient=" + CANARY, b"a=b", words),
        ask(b"POST /predict", film, b"Expect: 100-continue\r\n"),
        ask(b"POST /predict", film, b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
        ask(b"POST /admin/models/neumo-r18-3/activate", b""),
        ask(b"POST /admin/models/rollback", b""),
        ask(b"OPTIONS /predict", None, preflight),
        ask(b"OPTIONS *"),
        ask(b"GET http://localhost:8000/metrics"),
        *(ask(b"GET " + path) for path in (
            b"/", b"/docs", b"/openapi.json", b"/health/live", b"/health/ready", b"/metrics",
            b"/model", b"/models", b"/page/main.js", b"/static-offline-docs/swagger-ui.css",
            b"/nowhere/" + CANARY,
        )),
        ask(b"HEAD /models"),
        ask(b"GET /performance"),
        # A film, and what it turned out to show, on one connection.
        ask(b"POST /predict", film, b"X-Request-ID: %b\r\n" % request_id)
        + ask(b"POST /feedback/" + request_id, said, b"Content-Type: application/json\r\n"),
        ask(b"POST /feedback/" + CANARY, said, b"Content-Type: application/json\r\n"),
        ask(b"POST /feedback/" + request_id, said, b"Content-Type: application/json\r\n"),
    ]  # fmt: skip
    return tuple(sent)
