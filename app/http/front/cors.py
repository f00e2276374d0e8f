"""Calls that a page of another origin makes in somebody's browser (the Fetch standard's CORS).

A browser sends a form to any address that a page names, and tells the page nothing of the answer.
So without care a page on the internet could let a hospital's browser post to a service that only
the hospital can reach. Such a POST is refused here at its head, unless its origin is allowed; then
the page also gets to see the answer.
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import OriginNotAllowed
from app.http.front.envelope import record_of

_SAFE: Final = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1: nothing is done
_OWN: Final = ("same-origin", "none")
_EXPOSED: Final = "Retry-After, X-Request-ID"
_TAKEN: Final = "Authorization, Content-Type, X-API-Key, X-Request-ID"
"""Request headers that a page may set, beside those that need no asking."""
_ANY_METHODS: Final = "GET, HEAD, POST"
_MAX_AGE_S: Final = 600
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Origins:
    """Which pages may call: the service's own, and those of the origins allowed.

    Parameters
    ----------
    allowed : exact, as browsers write them
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def refuses(self, method: str, headers: Headers) -> bool:
        """Return whether a page of another origin, not allowed, wants something done.

        Where the browser itself tells what the page is to the address (``Sec-Fetch-Site``; it
        comes over TLS and from this machine only), that counts, whatever a proxy made of the
        host. Else ``Origin`` has to name the host that was asked, as ``Host`` or a proxy's
        ``X-Forwarded-Host`` has it: neither can be set by a page of another origin. Who sends
        neither ``Sec-Fetch-Site`` nor ``Origin`` is no page.
        """
        if method in _SAFE and not _is_preflight(method, headers):
            return False
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self._allowed:
            return False
        if site is not None:
            return site not in _OWN
        return origin is not None and not _names_host(origin, headers)

    def answer_headers(self, raw_headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
        """Return the headers that let a page see the answer to a request.

        Parameters
        ----------
        raw_headers : the request's, as ASGI has them: names in lower case
        """
        if not self._allowed:
            return {}
        origin = Headers(raw=raw_headers).get("origin")
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
        }


class Cors:
    """Refuses what pages of other origins may not do, and answers when they ask what they may.

    It stands in front of the question who calls: a browser asks without a key.

    Parameters
    ----------
    methods : of each path, as the header Allow names them
    """

    def __init__(self, app: ASGIApp, origins: Origins, methods: Mapping[str, str]) -> None:
        self._app = app
        self._origins = origins
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), scope["method"]
        # By the envelope, which adds them to errors too: a page has to see Retry-After.
        record_of(scope).headers |= self._origins.answer_headers(scope["headers"])
        if self._origins.refuses(method, headers):
            raise OriginNotAllowed
        if _is_preflight(method, headers):
            await self._grant(scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _grant(self, path: str) -> Response:
        fields = {
            "Access-Control-Allow-Methods": self._methods.get(path, _ANY_METHODS),
            "Access-Control-Allow-Headers": _TAKEN,
            "Access-Control-Max-Age": str(_MAX_AGE_S),
        }
        return Response(status_code=204, headers=fields)


def _is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if it may send a request (Fetch, section 3.3.2)."""
    asked = "origin" in headers and "access-control-request-method" in headers
    return method == "OPTIONS" and asked


def _names_host(origin: str, headers: Headers) -> bool:
    """Whether an origin's host is the one that was asked; the scheme isn't known behind a proxy."""
    scheme, _, host = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    asked = (headers.get("host", ""), forwarded)
    return bool(host) and host in [each.lower().removesuffix(port) for each in asked]
