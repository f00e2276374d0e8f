"""The guard: who calls, and whether they may, found out at a request's head.

A pure ASGI middleware in front of the gate: whoever may not ask has no body read, holds no memory
and takes no place in the queue.
"""

from typing import Final

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from app.access.access import Access
from app.access.caller import ANYONE, Caller
from app.errors import Forbidden, Malformed, NotFound, RateLimited, Unauthenticated
from app.http.route_scopes import RouteScopes, UnknownRoute
from app.service.telemetry import Metrics
from app.settings.access_settings import is_loopback

_KEY: Final = "neumo.caller"
_BEARER: Final = b"bearer "
_PROXIES: Final = frozenset(
    (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip")
)


def caller_of(scope: AsgiScope) -> Caller:
    """Return who sent a request; `ANYONE` where no key is asked for."""
    caller: Caller = scope.get(_KEY, ANYONE)
    return caller


class Guard:
    """Lets callers in who may ask for what they ask for.

    A path that no route has is answered 404 here, whoever asks: so nothing is served whose scope
    is not known.
    """

    def __init__(
        self, app: ASGIApp, access: Access, route_scopes: RouteScopes, metrics: Metrics
    ) -> None:
        self._app = app
        self._access = access
        self._route_scopes = route_scopes
        self._metrics = metrics

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            try:
                needed = self._route_scopes.scope_of(scope["path"])
            except UnknownRoute:
                raise NotFound from None
            if needed is not None:
                scope[_KEY] = caller = await self._identify(scope)
                self._access.check(caller, needed)
                if needed == "admin" and self._access.open and not _is_of_this_machine(scope):
                    raise Forbidden(scope=needed)
        await self._app(scope, receive, send)

    async def _identify(self, scope: AsgiScope) -> Caller:
        try:
            return await self._access.identify(secret_of(scope), _certificate_name_of(scope))
        except Unauthenticated as error:
            self._metrics.count_unauthenticated(str(error.facts["reason"]))
            raise
        except RateLimited:
            self._metrics.count_unauthenticated("throttled")
            raise


def secret_of(scope: AsgiScope) -> str | None:
    """Return the key or token that a head shows.

    Other schemes than Bearer are for somebody else: a proxy that asks for a password hands its
    header on.

    Raises
    ------
    Malformed : if it shows two
    """
    shown: set[bytes] = set()
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            shown.add(value.strip())
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            shown.add(value[len(_BEARER) :].strip())
    shown.discard(b"")
    if len(shown) > 1:
        raise Malformed(reason="two_keys")
    return shown.pop().decode("latin-1") if shown else None


def _is_of_this_machine(scope: AsgiScope) -> bool:
    """Whether a head looks like one that was written here, to this machine by its own name.

    Where nobody is asked who calls, a proxy on this machine may let others through, and a page
    may have its own name lead here (DNS rebinding): both come from this machine's address. A proxy
    that is told nothing else, such as nginx, names this machine as host and speaks HTTP/1.0.
    """
    if scope["http_version"] == "1.0":
        return False
    hosts = []
    for name, value in scope["headers"]:
        if name in _PROXIES:
            return False
        if name == b"host":
            hosts.append(value.decode("latin-1"))
    return len(hosts) == 1 and is_loopback(_without_port(hosts[0]))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _certificate_name_of(scope: AsgiScope) -> str | None:
    name: str | None = scope.get("extensions", {}).get("tls", {}).get("client_cert_name")
    return name
