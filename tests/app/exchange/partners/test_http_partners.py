"""Results go to partners over HTTP; those are real servers, which answer what a test wants."""

import contextlib
import gzip
import json
import ssl
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.exchange.partners.partner_list import open_partners
from app.exchange.partners.sending import DELIVERED, Sent, Verdict
from app.settings.exchange_settings import ExchangeSettings
from tests.app.exchange.partners.archives import Web, due
from tests.certificates import Authority

Reply = tuple[int, dict[str, str], bytes]


def send(web: Web, kind: str = "sr", **settings: object) -> Sent:
    """Send a result to a server of its kind."""
    scheme = "fhir+http" if kind == "fhir" else "http"
    path = "fhir" if kind == "fhir" else "dicom-web"
    partners = f"{scheme}://127.0.0.1:{web.port}/{path}"
    chosen = {"partners": partners, "delivery_timeout_s": 5.0} | settings
    (partner,) = open_partners(ExchangeSettings(**chosen))
    with contextlib.closing(partner):
        ((sent_what, sent),) = partner.send([due(kind)])
    assert sent_what == due(kind)
    return sent


def failed(reason: int, uid: str | None = None) -> bytes:
    """Return what STOW-RS answers of an object that was not stored (PS3.18 annex F)."""
    item = {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.34"]},
        "00081155": {"vr": "UI", "Value": [uid or due("sr").uid]},
        "00081197": {"vr": "US", "Value": [reason]},
    }
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def test_stow_carries_one_object_in_a_part_of_its_own() -> None:
    with Web().running() as web:
        assert send(web) == DELIVERED
    (request,) = web.requests
    assert request.path == "/dicom-web/studies"
    assert request.headers["Accept"] == "application/dicom+json"
    kind, _, boundary = request.headers["Content-Type"].partition("; boundary=")
    assert kind == 'multipart/related; type="application/dicom"'
    head, _, rest = request.body.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [b"--" + boundary.encode(), b"Content-Type: application/dicom"]
    assert rest == due("sr").data + b"\r\n--" + boundary.encode() + b"--\r\n"


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        pytest.param((200, {}, b""), DELIVERED, id="200"),
        pytest.param((200, {}, b'{"00081199": {}}'), DELIVERED, id="200 with a list"),
        pytest.param((202, {}, b"{}"), DELIVERED, id="202, a warning"),
        pytest.param((409, {}, failed(0x0111)), DELIVERED, id="409, it is there"),
        pytest.param(
            (409, {}, failed(0xA900)), Sent(Verdict.NEVER, "status_0xA900"), id="409, mismatch"
        ),
        pytest.param(
            (202, {}, failed(0xC000)), Sent(Verdict.NEVER, "status_0xC000"), id="202, a failure"
        ),
        pytest.param(
            (409, {}, failed(0xA700)), Sent(Verdict.AWAY, "status_0xA700"), id="409, no room"
        ),
        pytest.param((409, {}, b"<xml/>"), Sent(Verdict.AGAIN, "http_409"), id="409, unknown"),
        pytest.param(
            (409, {}, failed(0x0111, "1.2.3")), Sent(Verdict.AGAIN, "http_409"), id="409, of others"
        ),
        pytest.param(
            (409, {}, b'[{"00081198": 3}]'), Sent(Verdict.AGAIN, "http_409"), id="409, odd"
        ),
        pytest.param((400, {}, b""), Sent(Verdict.NEVER, "http_400"), id="400"),
        pytest.param((415, {}, b""), Sent(Verdict.NEVER, "http_415"), id="415"),
        pytest.param((500, {}, b""), Sent(Verdict.AGAIN, "http_500"), id="500"),
        pytest.param((401, {}, b""), Sent(Verdict.AWAY, "http_401"), id="401"),
        pytest.param((404, {}, b""), Sent(Verdict.AWAY, "http_404"), id="404"),
        pytest.param(
            (307, {"Location": "http://10.0.0.9/"}, b""), Sent(Verdict.AWAY, "http_307"), id="307"
        ),
        pytest.param(
            (503, {"Retry-After": "7"}, b""), Sent(Verdict.AWAY, "http_503", 7.0), id="503"
        ),
        pytest.param(
            (429, {"Retry-After": "999999"}, b""),
            Sent(Verdict.AWAY, "http_429", 3600.0),
            id="429, for days",
        ),
        pytest.param(
            (503, {"Retry-After": "soon"}, b""), Sent(Verdict.AWAY, "http_503"), id="503, odd"
        ),
        pytest.param((200, {}, b"x" * 2_000_000), DELIVERED, id="200, too long to be read"),
    ],
)
def test_what_stow_answers_is_judged(reply: Reply, sent: Sent) -> None:
    status, headers, body = reply
    with Web(status, headers, body).running() as web:
        assert send(web) == sent
    assert len(web.requests) == 1, "no redirection is followed"


def test_a_date_says_when_to_come_again() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100))
    with Web(503, {"Retry-After": until}).running() as web:
        wait_s = send(web).wait_s
    assert wait_s is not None
    assert 90 < wait_s <= 100


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (200, DELIVERED),
        (201, DELIVERED),
        (422, Sent(Verdict.NEVER, "http_422")),
        (412, Sent(Verdict.NEVER, "http_412")),
        (500, Sent(Verdict.AGAIN, "http_500")),
        (502, Sent(Verdict.AWAY, "http_502")),
    ],
)
def test_a_transaction_is_posted_to_the_fhir_server(status: int, sent: Sent) -> None:
    with Web(status).running() as web:
        assert send(web, "fhir") == sent
    (request,) = web.requests
    assert (request.path, request.body) == ("/fhir", due("fhir").data)
    assert request.headers["Content-Type"] == "application/fhir+json"


def test_the_header_that_lets_in_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with Web().running() as web:
        missing = send(web, partner_authorization_file=str(file))
        for token in ("Bearer one", "Bearer two"):
            file.write_text(f"{token}\n")
            assert send(web, partner_authorization_file=str(file)) == DELIVERED
    assert missing == Sent(Verdict.AWAY, "no_authorization")
    assert [r.headers["Authorization"] for r in web.requests] == ["Bearer one", "Bearer two"]


def test_a_server_that_is_away_or_too_slow_is_away() -> None:
    with Web().running() as web:
        pass
    assert send(web) == Sent(Verdict.AWAY, "no_answer")


def test_an_answer_that_drips_is_judged_by_its_status() -> None:
    begun_s = time.monotonic()
    with Web(409, body=b"x" * 60, pause_s=0.1).running() as web:
        assert send(web, delivery_timeout_s=0.5) == Sent(Verdict.AGAIN, "http_409")
        assert time.monotonic() - begun_s < 2


def test_an_answer_does_not_unfold_in_memory() -> None:
    folded = {"Content-Encoding": "gzip"}
    with Web(409, folded, gzip.compress(b"\0" * 2**26)).running() as web:
        tracemalloc.start()
        try:
            assert send(web) == Sent(Verdict.AGAIN, "http_409")
            assert tracemalloc.get_traced_memory()[1] < 2**23
        finally:
            tracemalloc.stop()
    assert web.requests[0].headers["Accept-Encoding"] == "identity"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Web().running() as web:
        assert send(web) == DELIVERED


def test_a_certificate_of_the_hospitals_own_authority_is_checked(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost", "web"))
    with Web().running(context) as web:
        partners = f"https://127.0.0.1:{web.port}/dicom-web"
        assert send(web, partners=partners, partner_ca_file=str(authority.ca)) == DELIVERED
        wrong = send(web, partners=partners, partner_ca_file=str(other.ca))
    assert wrong == Sent(Verdict.AWAY, "no_answer")
    assert len(web.requests) == 1
