"""app.http.front.cors: which pages may have something done, by what their browser says of them."""

import pytest
from starlette.datastructures import Headers

from app.http.front.cors import Origins

VIEWER = "https://viewer.example.org"
ORIGINS = Origins(frozenset({VIEWER}))


def refuses(method: str = "POST", **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ORIGINS.refuses(method, Headers(named))


def test_who_is_no_browser_is_not_refused() -> None:
    assert not refuses(host="neumo.test")
    assert not refuses(host="neumo.test", authorization="Bearer x")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"])
def test_what_does_something_is_refused_to_another_origin(method: str) -> None:
    assert refuses(method, host="neumo.test", origin="https://evil.test")
    assert not refuses(method, host="neumo.test", origin=VIEWER)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_does_nothing_is_not_refused(method: str) -> None:
    assert not refuses(method, host="neumo.test", origin="https://evil.test")


@pytest.mark.parametrize(
    ("site", "refused"),
    [("same-origin", False), ("none", False), ("same-site", True), ("cross-site", True),
     ("something-new", True), ("", True)],
)  # fmt: skip
def test_where_the_browser_tells_what_the_page_is_that_counts(site: str, refused: bool) -> None:
    for origin in ("http://neumo.test", "http://public.test"):  # a proxy has changed the host
        assert refuses(host="neumo.test", origin=origin, sec_fetch_site=site) is refused
    assert refuses(host="neumo.test", sec_fetch_site=site) is refused


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_an_origin_that_is_allowed_is_so_wherever_it_stands(site: str) -> None:
    assert not refuses(host="neumo.test", origin=VIEWER, sec_fetch_site=site)


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://neumo.test", "neumo.test", True),
        ("https://neumo.test", "neumo.test", True),  # a proxy has taken off TLS
        ("https://neumo.test", "neumo.test:443", True),  # and has told the port all the same
        ("http://neumo.test", "neumo.test:80", True),
        ("http://neumo.test:8080", "neumo.test:8080", True),
        ("http://neumo.test", "NEUMO.test", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://neumo.test:8080", "neumo.test", False),  # another program of the same machine
        ("http://neumo.test", "neumo.test:8080", False),
        ("http://neumo.test", "neumo.test:443", False),
        ("http://evil.neumo.test", "neumo.test", False),
        ("http://neumo.test.evil", "neumo.test", False),
        ("null", "neumo.test", False),
        ("null", "", False),
        ("", "", False),
    ],
)
def test_else_the_origin_has_to_name_the_host_that_was_asked(
    origin: str, host: str, own: bool
) -> None:
    assert refuses(origin=origin, host=host) is not own
    assert refuses(origin=origin, host="upstream", x_forwarded_host=host) is not own
    assert refuses(origin=origin, host="upstream", x_forwarded_host=f"{host}, inner") is not own


def test_a_preflight_is_refused_as_what_it_asks_for_would_be() -> None:
    asked = {"host": "neumo.test", "access_control_request_method": "POST"}
    assert refuses("OPTIONS", origin="https://evil.test", **asked)
    assert not refuses("OPTIONS", origin=VIEWER, **asked)


def test_an_allowed_origin_is_told_by_name_and_no_other_is() -> None:
    assert ORIGINS.answer_headers([(b"origin", VIEWER.encode())]) == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": VIEWER,
        "Access-Control-Expose-Headers": "Retry-After, X-Request-ID",
    }
    for headers in ([(b"origin", b"https://evil.test")], [(b"origin", b"null")], []):
        assert ORIGINS.answer_headers(headers) == {"Vary": "Origin"}


def test_without_an_allowed_origin_answers_stay_as_they_are() -> None:
    assert Origins(frozenset()).answer_headers([(b"origin", VIEWER.encode())]) == {}
