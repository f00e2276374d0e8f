"""app.access.tokens and issuer: tokens of a real issuer on this machine."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.access import issuer as issuer_module
from app.access import tokens as tokens_module
from app.access.caller import Rate
from app.access.tokens import Tokens
from app.errors import IssuerUnavailable, Unauthenticated
from app.settings.settings import Settings
from tests.issuer import AUDIENCE, LocalIssuer, issuing

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with issuing() as issuer:
        yield issuer


def new_tokens(issuer: LocalIssuer, **settings: Any) -> Tokens:  # noqa: ANN401 - any setting
    given: dict[str, Any] = {"oidc_issuer": issuer.address, "oidc_audience": AUDIENCE}
    return Tokens(Settings(**given | settings), Rate(5, 5))


async def refused(tokens: Tokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await tokens.identify(token)
    return str(caught.value.facts["reason"])


@pytest.mark.parametrize("key_id", ["rsa-1", "ec-1"])
async def test_a_good_token_names_its_holder(issuer: LocalIssuer, key_id: str) -> None:
    issuer.add_ec("ec-1")
    caller = await new_tokens(issuer).identify(issuer.token(key_id))
    assert (caller.name, caller.scopes) == ("radiology-7", {"predict"})
    assert (caller.account, caller.rate) == ("sub:radiology-7", Rate(5, 5))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": float("inf")},
        {"nbf": 4_102_444_800},
        {"iat": 4_102_444_800},
        {"sub": None},
        {"sub": ["a"]},
        {"sub": ""},
        {"sub": " "},
        {"sub": "line\nfeed"},
        {"sub": "x" * 101},
    ],
    ids=str,
)
async def test_a_token_with_another_claim_is_refused(
    issuer: LocalIssuer, changed: dict[str, Any]
) -> None:
    tokens = new_tokens(issuer)
    if isinstance(changed.get("sub"), list):
        token = jwt.encode(
            issuer.claims() | changed, issuer.keys["rsa-1"], "RS256", headers={"kid": "rsa-1"}
        )
    else:
        token = issuer.token(**changed)
    assert await refused(tokens, token) == "token"


@pytest.mark.parametrize(
    "exp",
    [str(int(time.time()) + 600), 10**400, time.time() + 600.5],
    ids=["text", "far too large", "with a fraction"],
)
async def test_a_time_is_a_number_of_any_kind(issuer: LocalIssuer, exp: object) -> None:
    caller = await new_tokens(issuer).identify(issuer.token(exp=exp))
    assert caller.name == "radiology-7"


async def test_an_old_token_has_expired_but_clocks_may_differ(issuer: LocalIssuer) -> None:
    tokens = new_tokens(issuer)
    assert await refused(tokens, issuer.token(exp=int(time.time()) - 31)) == "expired"
    assert (await tokens.identify(issuer.token(exp=int(time.time()) - 20))).name == "radiology-7"
    strict = new_tokens(issuer, oidc_leeway_s=0)
    assert await refused(strict, issuer.token(exp=int(time.time()) - 1)) == "expired"


def unsigned(claims: dict[str, Any], **head: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT"} | head, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


async def test_a_token_without_signature_is_refused(issuer: LocalIssuer) -> None:
    tokens = new_tokens(issuer)
    for algorithm in ("none", "None", "NONE", ""):
        token = unsigned(issuer.claims(), alg=algorithm, kid="rsa-1")
        assert await refused(tokens, token) == "token"
    assert issuer.asked == 0  # nobody makes it ask


async def test_the_public_key_is_no_shared_secret(issuer: LocalIssuer) -> None:
    """The known confusion: HS256, with the published key as the secret."""
    public = issuer.keys["rsa-1"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    body = unsigned(issuer.claims(), alg="HS256", kid="rsa-1").rstrip(".")
    mac = hmac.new(pem, body.encode(), hashlib.sha256).digest()
    token = body + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")
    assert await refused(new_tokens(issuer), token) == "token"


async def test_a_signature_that_settings_do_not_name_is_refused(issuer: LocalIssuer) -> None:
    issuer.add_ec("ec-1")
    tokens = new_tokens(issuer, oidc_algorithms="ES256")
    assert (await tokens.identify(issuer.token("ec-1"))).name == "radiology-7"
    assert await refused(tokens, issuer.token("rsa-1")) == "token"


async def test_a_token_of_another_key_by_a_known_name_is_refused(issuer: LocalIssuer) -> None:
    tokens = new_tokens(issuer)
    await tokens.identify(issuer.token())
    issuer.add_rsa("rsa-1")  # another key under this name, that was not fetched
    assert await refused(tokens, issuer.token()) == "token"


async def test_a_changed_token_is_refused(issuer: LocalIssuer) -> None:
    head, claims, signature = issuer.token().split(".")
    more = unsigned(issuer.claims(scope="admin"), alg="RS256").split(".")[1]
    tokens = new_tokens(issuer)
    assert await refused(tokens, f"{head}.{more}.{signature}") == "token"
    assert await refused(tokens, f"{head}.{claims}.{signature[:-8]}") == "token"
    for broken in ("..", "a.b.c", f"{head}..{signature}", "\u00e9.\u00e9.\u00e9", "x." * 9000):
        assert await refused(tokens, broken) == "token"


@pytest.mark.parametrize(
    ("settings", "claims", "scopes"),
    [
        ({}, {"scope": "predict metrics"}, {"predict", "metrics"}),
        ({}, {"scope": ["predict", "admin", 7]}, {"predict", "admin"}),
        ({}, {"scope": None}, set()),
        ({}, {"scope": {"predict": True}}, set()),
        ({}, {"scope": "predictable"}, set()),
        ({"oidc_scope_prefix": "neumo:"}, {"scope": "neumo:predict metrics"}, {"predict"}),
        (
            {"oidc_scope_claim": "realm_access.roles"},
            {"realm_access": {"roles": ["feedback"]}},
            {"feedback"},
        ),
        ({"oidc_scope_claim": "realm_access.roles"}, {"realm_access": "predict"}, set()),
    ],
)
async def test_scopes_come_from_the_claim_that_settings_name(
    issuer: LocalIssuer, settings: dict[str, Any], claims: dict[str, Any], scopes: set[str]
) -> None:
    caller = await new_tokens(issuer, **settings).identify(issuer.token(**claims))
    assert caller.scopes == scopes


async def test_the_name_comes_from_the_claim_that_settings_name(issuer: LocalIssuer) -> None:
    tokens = new_tokens(issuer, oidc_name_claim="azp")
    caller = await tokens.identify(issuer.token(azp="ris-gateway"))
    assert (caller.name, caller.account) == ("ris-gateway", "sub:radiology-7")


async def test_keys_are_fetched_once_and_kept(issuer: LocalIssuer) -> None:
    tokens = new_tokens(issuer)
    await asyncio.gather(*(tokens.identify(issuer.token()) for _ in range(20)))
    assert issuer.asked == 1


async def test_a_key_that_the_issuer_turned_over_is_found_but_it_is_not_asked_often(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = new_tokens(issuer)
    await tokens.identify(issuer.token())
    issuer.add_ec("ec-2")
    assert await refused(tokens, issuer.token("ec-2")) == "token"  # it was asked just now
    for number in range(50):
        issuer.add_ec(f"made-up-{number}")
        assert await refused(tokens, issuer.token(f"made-up-{number}")) == "token"
    assert issuer.asked == 1
    monkeypatch.setattr(issuer_module, "_LEAST_PAUSE_S", 0.0)
    assert (await tokens.identify(issuer.token("ec-2"))).name == "radiology-7"
    assert issuer.asked == 2


async def test_while_the_issuer_is_down_the_keys_that_were_had_go_on(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = new_tokens(issuer)
    await tokens.identify(issuer.token())
    issuer.down = True
    monkeypatch.setattr(issuer_module, "_LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr(issuer_module, "_FRESH_S", 0.0)
    for _ in range(3):
        assert (await tokens.identify(issuer.token())).name == "radiology-7"
        await asyncio.sleep(0.05)
    assert issuer.asked > 0


async def test_old_keys_are_fetched_anew_and_no_request_waits(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = new_tokens(issuer)
    await tokens.identify(issuer.token())
    monkeypatch.setattr(issuer_module, "_LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr(issuer_module, "_FRESH_S", 0.0)
    issuer.pause_s = 0.5
    begun_s = time.monotonic()
    await tokens.identify(issuer.token())
    assert time.monotonic() - begun_s < 0.3
    await asyncio.sleep(1.3)
    assert issuer.asked == 2


async def test_a_good_token_is_known_for_a_minute_and_no_longer_than_it_says(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = new_tokens(issuer)
    long, short = issuer.token(), issuer.token(exp=int(time.time()) + 20)
    assert await tokens.identify(long) == await tokens.identify(short)
    monkeypatch.setattr(jwt, "decode", None)  # what is known is not checked again
    now_s = time.time()
    for passed_s, good in ((49, (True, True)), (51, (True, False)), (61, (False, False))):
        monkeypatch.setattr(tokens_module.time, "time", lambda now=now_s + passed_s: now)
        for token, is_good in zip((long, short), good, strict=True):
            if is_good:
                assert (await tokens.identify(token)).name == "radiology-7"
            else:
                assert await refused(tokens, token) == "token"


async def test_no_more_than_a_bounded_number_of_tokens_is_known(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "_MOST_KEPT", 3)
    tokens = new_tokens(issuer)
    for _ in range(5):
        await tokens.identify(issuer.token())
    assert len(tokens._kept) == 3


async def test_without_any_keys_a_token_can_not_be_checked(issuer: LocalIssuer) -> None:
    issuer.down = True
    tokens = new_tokens(issuer)
    for _ in range(2):
        with pytest.raises(IssuerUnavailable):
            await tokens.identify(issuer.token())


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.test"},
        {"jwks_uri": "http://elsewhere.test/certs"},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_an_issuer_that_says_something_else_is_not_trusted(
    issuer: LocalIssuer, discovery: dict[str, Any]
) -> None:
    issuer.discovery |= discovery
    with pytest.raises(IssuerUnavailable):
        await new_tokens(issuer).identify(issuer.token())
    assert issuer.asked == 0


async def test_keys_are_not_read_from_a_file_nor_where_the_issuer_leads_on_to(
    issuer: LocalIssuer, tmp_path: Path
) -> None:
    (tmp_path / "certs").write_text(json.dumps(issuer.jwks()))
    for address in (f"file://{tmp_path}/certs", f"{issuer.address}/moved"):
        issuer.discovery["jwks_uri"] = address
        with pytest.raises(IssuerUnavailable):
            await new_tokens(issuer).identify(issuer.token())
    assert issuer.asked == 0


async def test_an_event_loop_goes_on_while_the_issuer_thinks(issuer: LocalIssuer) -> None:
    issuer.pause_s = 0.3
    asking = asyncio.create_task(new_tokens(issuer).identify(issuer.token()))
    turns = 0
    while not asking.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert asking.result().name == "radiology-7"
    assert turns > 20
