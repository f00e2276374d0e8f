"""The envelope: every request is answered and accounted for once, a cancelled one too."""

import asyncio
import logging

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.front.envelope import Envelope
from app.http.route_table import RouteTable
from app.service.telemetry import Metrics
from tests.contract.test_health import value_of

REQUEST_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def wait_for_ever(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    await asyncio.Event().wait()


async def begin_and_wait(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await wait_for_ever(scope, receive, send)


async def find_the_client_gone(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await wait_for_ever(scope, receive, send)
    except asyncio.CancelledError:
        raise ClientDisconnect from None


class Call:
    """One request to `app` inside an envelope, cancelled as uvicorn does after the grace."""

    def __init__(self, app: ASGIApp) -> None:
        self.sent: list[Message] = []
        self.metrics = Metrics()
        self._envelope = Envelope(
            app, self.metrics, RouteTable({"/predict": "POST"}, frozenset(["/predict"]))
        )
        asyncio.run(self._make_and_cancel())

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    def count(self, series: str) -> float:
        return value_of(self.metrics.render().decode(), series)

    def answered(self, status: int) -> float:
        labels = f'method="POST",route="/predict",status="{status}"'
        return self.count(f"neumo_requests_total{{{labels}}}")

    async def _make_and_cancel(self) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "headers": [(b"x-request-id", REQUEST_ID.encode())],
        }
        task = asyncio.ensure_future(self._envelope(scope, self._receive, self._send))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    async def _receive(self) -> Message:
        raise AssertionError("nothing more is read")

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


def test_a_cancelled_request_is_answered_503(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        call = Call(wait_for_ever)
    assert call.sent[0]["status"] == 503
    assert b'"code":"not_ready"' in call.sent[1]["body"]
    assert call.headers[b"retry-after"] == b"1"
    assert call.headers[b"connection"] == b"close"
    assert call.headers[b"x-request-id"] == REQUEST_ID.encode()
    assert call.answered(503) == 1
    assert call.count('neumo_refusals_total{code="not_ready"}') == 1
    (line,) = caplog.records
    members = vars(line)["members"]
    assert (members["status"], members["code"]) == (503, "not_ready")


def test_an_answer_under_way_is_not_followed_by_another() -> None:
    call = Call(begin_and_wait)
    assert [message["type"] for message in call.sent] == ["http.response.start"]
    assert call.answered(200) == 1


def test_a_client_that_had_gone_counts_as_499() -> None:
    call = Call(find_the_client_gone)
    assert call.sent == []
    assert call.answered(499) == 1
