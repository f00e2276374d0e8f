"""neumo_client.errors: what a caller catches, for what a service, or a proxy in front, answers."""

import gc
import pickle
import ssl
import sys
from email.utils import formatdate
from time import time

import httpx
import pytest

import neumo_client
from app.errors import RequestError
from app.render.problem import MEDIA_TYPE, render_problem
from neumo_client import (
    ConnectionLost,
    DeadlineExceeded,
    FilmRefused,
    Forbidden,
    InvalidCall,
    NeumoError,
    NoAnswer,
    Overloaded,
    Problem,
    RateLimited,
    ServiceFailed,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)
from neumo_client.retries import NO_RETRIES
from tests.app.test_errors import REQUEST_ERRORS, sample_facts
from tests.client.answering import client_by, client_of

BY_STATUS = {
    400: InvalidCall, 401: Unauthenticated, 403: Forbidden, 404: InvalidCall, 405: InvalidCall,
    406: Problem, 408: Problem, 409: Problem, 410: Problem,
    413: FilmRefused, 415: FilmRefused, 422: FilmRefused,
    429: RateLimited, 431: InvalidCall, 500: ServiceFailed, 503: Unavailable,
    504: DeadlineExceeded,
}  # fmt: skip
BY_CODE = {"empty_upload": FilmRefused, "overloaded": Overloaded}


def failure(*answers: httpx.Response | Exception) -> NeumoError:
    """Return what `predict` raises if it is answered so, once."""
    with client_of(*answers, retries=NO_RETRIES) as client, pytest.raises(NeumoError) as caught:
        client.predict(b"film")
    return caught.value


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_each_of_the_services_errors_becomes_an_exception_of_its_kind(
    error: type[RequestError],
) -> None:
    raised = error(**sample_facts(error))
    told = render_problem(raised, "01M89YMQ7DS491K3W4XE3W17T8", "en").model_dump_json()
    headers = raised.headers() | {"Content-Type": MEDIA_TYPE}
    got = failure(httpx.Response(error.status, content=told, headers=headers))
    assert isinstance(got, Problem)
    assert type(got) is BY_CODE.get(error.code, BY_STATUS[error.status])
    assert (got.status, got.code, got.request_id) == (
        error.status,
        error.code,
        "01M89YMQ7DS491K3W4XE3W17T8",
    )
    assert got.detail == raised.detail("en")
    assert got.code in str(got)
    assert got.detail in str(got)
    assert got.members == sample_facts(error)
    assert got.transient is (error.status in (429, 502, 503, 504))
    assert (got.retry_after_s is None) is ("Retry-After" not in raised.headers())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidCall), (401, Unauthenticated), (403, Forbidden), (404, InvalidCall),
     (413, FilmRefused), (418, Problem), (429, RateLimited), (500, ServiceFailed),
     (502, Unavailable), (503, Unavailable), (504, DeadlineExceeded), (599, ServiceFailed)],
)  # fmt: skip
@pytest.mark.parametrize(
    "body",
    [
        b"<html><h1>nginx</h1></html>", b"", b"null", b"[]", b'"text"', b'{"code": 3}',
        b'{"error": "upstream"}', b"\xff\xfe\x00", b"[" * 100_000, b'{"detail": "who"}',
    ],
    ids=range(10),
)  # fmt: skip
def test_what_a_proxy_says_has_a_kind_by_its_status_and_no_code(
    status: int, kind: type[Problem], body: bytes
) -> None:
    got = failure(httpx.Response(status, content=body, headers={"Content-Type": "text/html"}))
    assert isinstance(got, Problem)
    assert type(got) is kind
    assert (got.status, got.code, got.members) == (status, None, {})
    assert "nginx" not in str(got)
    assert got.request_id is not None  # the one that was sent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-3", None), ("soon", None), ("", None), ("1e3", None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 99 Oct 2015 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    got = failure(httpx.Response(503, headers={"Retry-After": text}))
    assert got.retry_after_s == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    got = failure(httpx.Response(503, headers={"Retry-After": formatdate(time() + 90)}))
    assert got.retry_after_s is not None
    assert 85 < got.retry_after_s <= 91


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308])
def test_a_redirection_is_not_followed_and_not_an_answer(status: int) -> None:
    got = failure(httpx.Response(status, headers={"Location": "https://elsewhere.test/"}))
    assert isinstance(got, UnexpectedAnswer)
    assert got.status == status


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"[]", b"{}", b'{"status": "ok"}'])
def test_a_success_that_holds_no_reading_is_not_an_answer(body: bytes) -> None:
    got = failure(httpx.Response(200, content=body))
    assert type(got) is UnexpectedAnswer
    assert "Sign" not in str(got)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), ConnectionLost),
        (httpx.ConnectTimeout("slow"), ConnectionLost),
        (httpx.ReadError("reset"), ConnectionLost),
        (httpx.WriteError("reset"), ConnectionLost),
        (httpx.RemoteProtocolError("hung up"), ConnectionLost),
        (httpx.ReadTimeout("slow"), TimedOut),
        (httpx.WriteTimeout("slow"), TimedOut),
        (httpx.PoolTimeout("full"), TimedOut),
        (httpx.ProxyError("no"), NoAnswer),
        (httpx.UnsupportedProtocol("gopher"), NoAnswer),
        (httpx.DecodingError("gzip"), NoAnswer),
        (caused(httpx.ConnectError("tls"), ssl.SSLCertVerificationError("unknown")), NoAnswer),
    ],
)
def test_what_gets_no_answer_is_told_apart(error: Exception, kind: type[NeumoError]) -> None:
    got = failure(error)
    assert type(got) is kind
    assert got.transient is (kind is ConnectionLost)
    assert got.request_id is not None


def test_the_docstring_at_the_top_names_exactly_the_tree() -> None:
    def walk(kind: type) -> set[str]:
        return {kind.__name__}.union(*map(walk, kind.__subclasses__()))

    assert {name for name in walk(NeumoError) if f"`{name}`" in (neumo_client.errors.__doc__ or "")}
    assert walk(NeumoError) <= set(neumo_client.__all__)


def test_an_error_crosses_from_one_process_to_another() -> None:
    got = failure(httpx.Response(503, headers={"Retry-After": "3"}))
    arrived = pickle.loads(pickle.dumps(got))  # noqa: S301 - our own bytes
    assert type(arrived) is type(got)
    assert (str(arrived), vars(arrived)) == (str(got), vars(got))


def test_errors_that_are_kept_do_not_keep_their_films() -> None:
    refused = httpx.Response(422, json={"code": "image_truncated"})
    films = [bytes(1000) for _ in range(3)]
    before = [sys.getrefcount(film) for film in films]
    with client_by(lambda _: refused) as client:
        results = client.predict_many(iter(films), concurrency=1)
        lost = client_of(httpx.ReadTimeout("slow")).predict_many(iter(films[:1]))
    gc.collect()
    assert [type(each) for each in (*results, *lost)] == [*[FilmRefused] * 3, TimedOut]
    assert [sys.getrefcount(film) for film in films] == before
