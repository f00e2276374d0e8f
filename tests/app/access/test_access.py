"""app.access.access: who gets in by what is set, and what is told of those who don't."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.access import access as access_module
from app.access.access import Access
from app.access.caller import ANYONE, Caller, Rate
from app.access.key import Key
from app.access.key_file import change_keys
from app.errors import Forbidden, KeysUnusable, NobodyKnown, RateLimited, Unauthenticated
from app.settings.settings import Settings

pytestmark = pytest.mark.anyio
ELSEWHERE = "0.0.0.0"  # noqa: S104 - nothing listens


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    """A file with one key, and the key."""
    key, secret = Key.create("pacs", frozenset(("predict",)), datetime.now(UTC))
    change_keys(tmp_path / "keys", lambda _: [key])
    return str(tmp_path / "keys"), secret


def access(**settings: Any) -> Access:  # noqa: ANN401 - any setting
    return Access.of(Settings(**settings))


async def refused(access: Access, secret: str | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await access.identify(secret)
    return str(caught.value.facts["reason"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
async def test_without_keys_this_machine_may_do_all(host: str) -> None:
    assert await access(host=host).identify(None) == ANYONE


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "neumo.hospital.test", ""])  # noqa: S104
def test_without_keys_other_machines_are_not_served(host: str) -> None:
    with pytest.raises(NobodyKnown) as caught:
        access(host=host)
    said = str(caught.value)
    for way_out in ("neumo keys create", "NEUMO_KEYS_FILE", "127.0.0.1", "NEUMO_INSECURE_NO_KEYS"):
        assert way_out in said
    assert caught.value.exit_code == 2


async def test_who_comes_through_a_proxy_that_asks_may_not_administer() -> None:
    caller = await access(host=ELSEWHERE, insecure_no_keys=True).identify(None)
    assert caller.scopes == {"predict", "feedback", "metrics"}


async def test_with_keys_other_machines_are_served_and_asked(keys: tuple[str, str]) -> None:
    path, secret = keys
    guarded = access(host=ELSEWHERE, keys_file=path)
    assert (await guarded.identify(secret)).name == "pacs"
    assert await refused(guarded, None) == "missing"
    assert await refused(guarded, "neumo_guessed") == "unknown"
    assert await refused(guarded, "a.b.c") == "unknown"  # no issuer is set


async def test_keys_are_asked_for_on_this_machine_too_if_there_are_any(
    keys: tuple[str, str],
) -> None:
    """A proxy on this machine lets others through."""
    assert await refused(access(keys_file=keys[0], insecure_no_keys=True), None) == "missing"


async def test_a_file_without_a_key_lets_nobody_in(tmp_path: Path) -> None:
    change_keys(tmp_path / "keys", lambda _: [])
    assert await refused(access(keys_file=str(tmp_path / "keys")), None) == "missing"


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable):
        access(keys_file=str(tmp_path / "none"))


async def test_a_client_certificate_lets_in_where_settings_say_for_what() -> None:
    guarded = access(
        host=ELSEWHERE, tls_cert="c", tls_key="k", tls_client_ca="ca", tls_client_scopes="predict"
    )
    caller = await guarded.identify(None, "modality-3")
    assert (caller.name, caller.scopes) == ("modality-3", {"predict"})
    assert await refused(guarded, None) == "missing"
    assert await refused(guarded, "neumo_x") == "unknown"


async def test_a_client_certificate_alone_is_no_key(keys: tuple[str, str]) -> None:
    guarded = access(keys_file=keys[0])
    with pytest.raises(Unauthenticated):
        await guarded.identify(None, "modality-3")


def test_a_scope_that_a_caller_lacks_is_named() -> None:
    caller = Caller("pacs", frozenset(("predict",)))
    access().check(caller, "predict")
    with pytest.raises(Forbidden, match="'metrics'"):
        access().check(caller, "metrics")


def test_a_caller_over_its_rate_is_told_when_to_come_back() -> None:
    opened = access()
    caller = Caller("pacs", frozenset(("predict",)), "id", Rate(0.5, 2))
    opened.check(caller, "predict")
    opened.check(caller, "predict")
    with pytest.raises(RateLimited) as caught:
        opened.check(caller, "predict")
    assert caught.value.headers()["Retry-After"] == "2"
    opened.check(Caller("ris", frozenset(("predict",)), "other", Rate(0.5, 2)), "predict")


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, None),
        ({"rate_per_s": 5}, Rate(5, 5)),
        ({"rate_per_s": 0.2}, Rate(0.2, 1)),
        ({"rate_per_s": 5, "rate_burst": 50}, Rate(5, 50)),
    ],
)
async def test_rates_come_from_settings(
    keys: tuple[str, str], settings: dict[str, Any], rate: Rate | None
) -> None:
    caller = await access(keys_file=keys[0], **settings).identify(keys[1])
    assert caller.rate == rate


async def test_failed_attempts_are_throttled_and_the_valid_key_is_let_in_all_the_same(
    keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_UNKNOWN_RATE", Rate(1, 5))
    guarded = access(keys_file=keys[0])
    for _ in range(5):
        assert await refused(guarded, "neumo_guess") == "unknown"
    for secret in ("neumo_guess", None):
        with pytest.raises(RateLimited):
            await guarded.identify(secret)
    assert (await guarded.identify(keys[1])).name == "pacs"


async def test_failed_attempts_are_logged_once_a_second_and_never_with_what_was_shown(
    keys: tuple[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(access_module.time, "monotonic", lambda: now_s[0])
    guarded = access(keys_file=keys[0])
    for _ in range(30):
        await refused(guarded, "neumo_CANARY")
    now_s[0] += 1.1
    await refused(guarded, None)
    lines = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [getattr(line, "members") for line in lines] == [  # noqa: B009
        {"reason": "unknown", "attempts": 1},
        {"reason": "missing", "attempts": 30},
    ]
    assert "CANARY" not in caplog.text
