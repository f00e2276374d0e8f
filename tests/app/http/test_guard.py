"""app.http.front.guard: who calls, told from a request's head, in front of its body."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from app.access.access import Access
from app.access.caller import SCOPES
from app.access.key import Key
from app.access.key_file import change_keys
from app.errors import Forbidden, Malformed, NotFound, RateLimited, Unauthenticated
from app.http.front.guard import Guard, caller_of
from app.http.route_scopes import RouteScopes
from app.service.telemetry import Metrics
from app.settings.settings import Settings

pytestmark = pytest.mark.anyio
ROUTES = RouteScopes(
    {"/predict": "predict", "/metrics": "metrics", "/health/live": None, "/admin/x": "admin"}
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Bench:
    """A guard in front of an application that notes who called."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.metrics = Metrics()
        self.names: list[str] = []
        access = Access.of(Settings(**settings))
        self.guard = Guard(self._app, access, ROUTES, self.metrics)

    async def _app(self, scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self.names.append(caller_of(scope).name)

    async def call(self, path: str, *headers: tuple[str, str], **scope: Any) -> None:  # noqa: ANN401
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        head = {"type": "http", "http_version": "1.1", "path": path, "headers": raw}
        await self.guard(head | scope, unread, unsent)

    def unauthenticated(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.metrics.render().decode())
        return {
            sample.labels["reason"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "neumo_unauthenticated_total"
        }


async def unread() -> Message:
    raise AssertionError("the guard reads no body")


async def unsent(_: Message) -> None:
    raise AssertionError("the guard answers by raising")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    """A file with one key for predict, and the key."""
    key, secret = Key.create("pacs", frozenset(("predict",)), datetime.now(UTC))
    change_keys(tmp_path / "keys", lambda _: [key])
    return str(tmp_path / "keys"), secret


def test_where_no_key_is_asked_for_anyone_may_do_all_and_has_no_name() -> None:
    caller = caller_of({"type": "http"})
    assert caller.name == ""
    assert caller.scopes == set(SCOPES)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer {}"),
        ("Authorization", "BEARER   {} "),
        ("X-API-Key", "{}"),
        ("X-API-Key", " {}"),
    ],
)
async def test_a_key_is_shown_in_one_of_two_headers(
    keys: tuple[str, str], name: str, form: str
) -> None:
    bench = Bench(keys_file=keys[0])
    await bench.call("/predict", (name, form.format(keys[1])))
    assert bench.names == ["pacs"]


async def test_the_same_key_twice_is_one(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0])
    both = (("Authorization", f"Bearer {keys[1]}"), ("X-API-Key", keys[1]))
    await bench.call("/predict", *both)
    assert bench.names == ["pacs"]


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", "Bearer {}"), ("X-API-Key", "other")),
        (("X-API-Key", "{}"), ("X-API-Key", "other")),
        (("Authorization", "Bearer {}"), ("Authorization", "Bearer other")),
    ],
)
async def test_two_keys_that_differ_are_malformed_though_one_is_good(
    keys: tuple[str, str], headers: tuple[tuple[str, str], ...]
) -> None:
    bench = Bench(keys_file=keys[0])
    with pytest.raises(Malformed) as caught:
        await bench.call("/predict", *[(name, form.format(keys[1])) for name, form in headers])
    assert caught.value.facts == {"reason": "two_keys"}
    assert bench.names == []


async def test_another_scheme_is_the_proxys(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0])
    basic = ("Authorization", "Basic cGFjczpwYWNz")
    await bench.call("/predict", basic, ("X-API-Key", keys[1]))
    assert bench.names == ["pacs"]
    with pytest.raises(Unauthenticated) as caught:
        await bench.call("/predict", basic)
    assert caught.value.facts == {"reason": "missing"}


@pytest.mark.parametrize("shown", ["Bearer", "Bearer ", "Bearer\t{}", "{}", "Token {}"])
async def test_what_is_no_bearer_is_no_key(keys: tuple[str, str], shown: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await Bench(keys_file=keys[0]).call("/predict", ("Authorization", shown.format(keys[1])))
    assert caught.value.facts == {"reason": "missing"}


async def test_bytes_that_are_no_ascii_are_no_key(keys: tuple[str, str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await Bench(keys_file=keys[0]).call("/predict", ("X-API-Key", "neumo_\xff\xe9"))
    assert caught.value.facts == {"reason": "unknown"}


async def test_what_tells_nothing_is_answered_to_anybody(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0])
    await bench.call("/health/live")
    await bench.call("/health/live", ("X-API-Key", "wrong"))
    assert bench.names == ["", ""]


async def test_a_key_without_the_scope_is_forbidden(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0])
    with pytest.raises(Forbidden) as caught:
        await bench.call("/metrics", ("X-API-Key", keys[1]))
    assert caught.value.facts == {"scope": "metrics"}


@pytest.mark.parametrize("path", ["/", "/none", "/predict/", "//predict", "/PREDICT", "/predict\n"])
@pytest.mark.parametrize("keyed", [True, False])
async def test_a_path_that_no_route_has_never_reaches_the_application(
    keys: tuple[str, str], path: str, keyed: bool
) -> None:
    bench = Bench(**({"keys_file": keys[0]} if keyed else {}))
    with pytest.raises(NotFound):
        await bench.call(path, ("X-API-Key", keys[1]))
    assert bench.names == []


async def test_a_client_certificates_name_is_the_callers() -> None:
    bench = Bench(tls_cert="c", tls_key="k", tls_client_ca="ca", tls_client_scopes="predict")
    extensions = {"tls": {"client_cert_name": "modality-3"}}
    await bench.call("/predict", extensions=extensions)
    assert bench.names == ["modality-3"]


async def test_a_rate_is_kept_to(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0], rate_per_s=0.01, rate_burst=2)
    for _ in range(2):
        await bench.call("/predict", ("X-API-Key", keys[1]))
    with pytest.raises(RateLimited):
        await bench.call("/predict", ("X-API-Key", keys[1]))
    await bench.call("/health/live")
    assert len(bench.names) == 3


async def test_failed_attempts_are_counted_by_reason(keys: tuple[str, str]) -> None:
    bench = Bench(keys_file=keys[0])
    for headers in ((), (), (("X-API-Key", "wrong"),)):
        with pytest.raises(Unauthenticated):
            await bench.call("/predict", *headers)
    assert bench.unauthenticated() == {"missing": 2, "unknown": 1}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.0.0.1"]
)
async def test_where_nobody_is_asked_this_machine_may_administer(host: str) -> None:
    bench = Bench()
    await bench.call("/admin/x", ("Host", host))
    assert bench.names == [""]


@pytest.mark.parametrize(
    "headers",
    [
        (("Host", "neumo.hospital.test"),),
        (("Host", "rebound.elsewhere.test:8000"),),
        (("Host", "neumo"),),
        (("Host", "127.0.0.1.elsewhere.test"),),
        (("Host", "localhost"), ("X-Forwarded-For", "10.0.0.7")),
        (("Host", "localhost"), ("X-Real-IP", "10.0.0.7")),
        (("Host", "localhost"), ("Forwarded", "for=10.0.0.7")),
        (("Host", "localhost"), ("Host", "elsewhere.test")),
        (),
    ],
    ids=str,
)
async def test_who_comes_through_a_proxy_or_by_another_name_may_not(
    headers: tuple[tuple[str, str], ...],
) -> None:
    bench = Bench()
    with pytest.raises(Forbidden):
        await bench.call("/admin/x", *headers)
    await bench.call("/predict", *headers)
    assert bench.names == [""]


async def test_http_1_0_is_a_proxys_that_was_told_nothing() -> None:
    """nginx speaks it unless told otherwise, and names the host that it asks: this machine."""
    bench = Bench()
    with pytest.raises(Forbidden):
        await bench.call("/admin/x", ("Host", "127.0.0.1:8000"), http_version="1.0")
    await bench.call("/predict", ("Host", "127.0.0.1:8000"), http_version="1.0")
    assert bench.names == [""]


async def test_with_a_key_that_may_administer_any_name_will_do(tmp_path: Path) -> None:
    key, secret = Key.create("operator", frozenset(("admin",)), datetime.now(UTC))
    change_keys(tmp_path / "keys", lambda _: [key])
    bench = Bench(keys_file=str(tmp_path / "keys"))
    await bench.call("/admin/x", ("Host", "neumo.hospital.test"), ("X-API-Key", secret))
    assert bench.names == ["operator"]
