"""Who gets in, over HTTP: every route and every kind of caller."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from app.access.caller import SCOPES, Scope
from app.access.key import Key
from app.access.key_file import change_keys
from app.main import create_app
from app.settings.settings import Settings
from tests.apps import served
from tests.contract.test_problems import check_problem
from tests.images import encode
from tests.issuer import AUDIENCE, issuing
from tests.models import FakeModel

SCOPE_OF: dict[tuple[str, str], Scope | None] = {
    ("POST", "/predict"): "predict",
    ("POST", "/predict/batch"): "predict",
    ("POST", "/explain"): "predict",
    ("POST", "/preview"): "predict",
    ("GET", "/model"): "predict",
    ("GET", "/models"): "predict",
    ("POST", "/admin/models/rollback"): "admin",
    ("POST", "/admin/models/{name}/activate"): "admin",
    ("POST", "/dicomweb/studies"): "predict",
    ("POST", "/dicomweb/studies/{study_uid}"): "predict",
    ("GET", "/readings/{id}"): "predict",
    ("POST", "/feedback/{request_id}"): "feedback",
    ("GET", "/performance"): "metrics",
    ("GET", "/metrics"): "metrics",
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/health/startup"): None,
    ("GET", "/v2"): "predict",
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready"): None,
    ("GET", "/v2/models/{model_name}"): "predict",
    ("GET", "/v2/models/{model_name}/ready"): "predict",
    ("POST", "/v2/models/{model_name}/infer"): "predict",
    ("GET", "/v2/models/{model_name}/versions/{model_version}"): "predict",
    ("GET", "/v2/models/{model_name}/versions/{model_version}/ready"): "predict",
    ("POST", "/v2/models/{model_name}/versions/{model_version}/infer"): "predict",
    ("GET", "/"): None,
    ("GET", "/docs"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/static-offline-docs"): None,
}
"""Every call and what it needs; written by hand, beside the table that decides."""

PNG = encode(np.full((224, 224), 99, np.uint8), "PNG")
Keys = dict[str, str]


def calls_of(app: FastAPI) -> set[tuple[str, str]]:
    """Return each method and path that the router of the application answers."""
    calls = set()
    for route in iter_route_contexts(app.routes):
        path = getattr(route, "path", None)
        assert path is not None, route
        for method in getattr(route, "methods", None) or {"GET"}:
            if method != "HEAD":
                calls.add((method, path))
    return calls


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A file with a key for each scope, and two that are good no more; by name."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    now = datetime.now(UTC)
    made: list[Key] = []
    secrets = {"file": str(path)}
    for scope in SCOPES:
        key, secrets[scope] = Key.create(scope, frozenset((scope,)), now)
        made.append(key)
    key, secrets["expired"] = Key.create("old", frozenset(SCOPES), now, now - timedelta(days=1))
    made.append(key)
    key, secrets["revoked"] = Key.create("lost", frozenset(SCOPES), now)
    made.append(key.revoke(now))
    change_keys(path, lambda _: made)
    return secrets


@pytest.fixture(scope="module")
def guarded(keys: Keys) -> Iterator[TestClient]:
    """A service that asks for keys."""
    with served(FakeModel(), keys_file=keys["file"]) as client:
        yield client


def call(client: TestClient, method: str, path: str, key: str | None) -> Any:  # noqa: ANN401
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    files = {"file": PNG} if method == "POST" else None
    path = path.replace("/static-offline-docs", "/static-offline-docs/swagger-ui.css")
    return client.request(method, path, files=files, headers=headers)


def test_every_route_has_a_scope_that_somebody_thought_of() -> None:
    calls = calls_of(create_app(Settings()))
    page = {(method, path) for method, path in calls if path.startswith("/page/")}
    assert calls - page == set(SCOPE_OF)
    assert {method for method, _ in page} == {"GET"}  # its scripts and styles


@pytest.mark.parametrize(("method", "path"), list(SCOPE_OF), ids=" ".join)
def test_each_route_asks_for_its_scope_and_no_other(
    guarded: TestClient, keys: Keys, method: str, path: str
) -> None:
    needed = SCOPE_OF[method, path]
    answer = call(guarded, method, path, None)
    if needed is None:
        assert answer.status_code == 200
        assert call(guarded, method, path, "wrong").status_code == 200
        return
    check_problem(answer, 401, "unauthenticated")
    for scope in SCOPES:
        answer = call(guarded, method, path, keys[scope])
        if scope == needed:
            assert answer.status_code not in (401, 403), answer.text
        else:
            assert check_problem(answer, 403, "forbidden")["scope"] == needed
            assert f'scope="{needed}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "path"), list(SCOPE_OF), ids=" ".join)
def test_no_method_slips_through(guarded: TestClient, method: str, path: str) -> None:
    for other in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        if SCOPE_OF[method, path] is not None:
            assert guarded.request(other, path).status_code == 401


@pytest.mark.parametrize(
    ("shown", "reason", "challenge"),
    [
        (None, "missing", 'Bearer realm="neumo"'),
        ("wrong", "unknown", 'Bearer realm="neumo", error="invalid_token"'),
        ("expired", "expired", 'Bearer realm="neumo", error="invalid_token"'),
        ("revoked", "revoked", 'Bearer realm="neumo", error="invalid_token"'),
    ],
)
def test_who_is_not_let_in_is_told_why(
    guarded: TestClient, keys: Keys, shown: str | None, reason: str, challenge: str
) -> None:
    key = None if shown is None else keys.get(shown, "neumo_CANARY")
    answer = call(guarded, "POST", "/predict", key)
    assert check_problem(answer, 401, "unauthenticated")["reason"] == reason
    assert answer.headers["www-authenticate"] == challenge
    assert "CANARY" not in answer.text


def test_a_reason_is_told_in_spanish_too(guarded: TestClient, keys: Keys) -> None:
    headers = {"X-API-Key": keys["expired"], "Accept-Language": "es"}
    answer = guarded.post("/predict", headers=headers)
    assert "ha caducado" in check_problem(answer, 401, "unauthenticated")["detail"]


def test_two_keys_that_differ_are_malformed(guarded: TestClient, keys: Keys) -> None:
    headers = {"X-API-Key": keys["predict"], "Authorization": f"Bearer {keys['metrics']}"}
    answer = guarded.post("/predict", headers=headers)
    assert check_problem(answer, 400, "malformed")["reason"] == "two_keys"
    assert keys["predict"] not in answer.text


@pytest.mark.parametrize(
    "path", ["/none", "/admin", "/predict/", "/predict/x", "/Predict", "/page/", "/page/x.js"]
)
def test_a_path_that_is_none_is_404_for_everybody(
    guarded: TestClient, keys: Keys, path: str
) -> None:
    for key in (None, keys["admin"]):
        check_problem(call(guarded, "POST", path, key), 404, "not_found")


def test_below_a_root_path_the_same_is_asked(keys: Keys) -> None:
    with served(FakeModel(), keys_file=keys["file"], root_path="/neumo") as client:
        for path in ("/predict", "/neumo/predict"):
            check_problem(call(client, "POST", path, None), 401, "unauthenticated")
            assert call(client, "POST", path, keys["predict"]).status_code == 200
        for path in ("/neumo/neumo/predict", "/neumopredict"):
            check_problem(call(client, "POST", path, keys["predict"]), 404, "not_found")
        assert client.get("/neumo/health/live").status_code == 200


def test_a_caller_over_its_rate_gets_429_and_health_goes_on(keys: Keys) -> None:
    with served(FakeModel(), keys_file=keys["file"], rate_per_s=0.01, rate_burst=3) as client:
        statuses = [call(client, "POST", "/predict", keys["predict"]).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        answer = call(client, "POST", "/predict", keys["predict"])
        check_problem(answer, 429, "rate_limited")
        assert 90 <= int(answer.headers["retry-after"]) <= 100
        assert call(client, "GET", "/metrics", keys["metrics"]).status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_failed_attempts_are_counted(guarded: TestClient, keys: Keys) -> None:
    def count() -> float:
        text = call(guarded, "GET", "/metrics", keys["metrics"]).text
        name = 'neumo_unauthenticated_total{reason="expired"} '
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    before = count()
    call(guarded, "POST", "/predict", keys["expired"])
    assert count() == before + 1


def test_no_key_reaches_the_log(
    guarded: TestClient, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for key in (*keys.values(), "neumo_CANARY"):
        for header in ("X-API-Key", "Authorization"):
            guarded.post("/predict", headers={header: key}, files={"file": PNG})
            guarded.post("/predict", headers={header: f"Bearer {key}"}, files={"file": PNG})
    said = " ".join(
        json.dumps(getattr(record, "members", {})) + record.getMessage()
        for record in caplog.records
    )
    assert "unauthenticated" in said
    for key in (*keys.values(), "CANARY"):
        assert key not in said


def test_a_token_of_the_issuer_is_as_good_as_a_key(keys: Keys) -> None:
    with issuing() as issuer:
        settings = {"oidc_issuer": issuer.address, "oidc_audience": AUDIENCE}
        with served(FakeModel(), keys_file=keys["file"], **settings) as client:
            assert call(client, "POST", "/predict", issuer.token()).status_code == 200
            answer = call(client, "GET", "/metrics", issuer.token())
            assert check_problem(answer, 403, "forbidden")["scope"] == "metrics"
            answer = call(client, "POST", "/predict", issuer.token(aud="elsewhere"))
            assert check_problem(answer, 401, "unauthenticated")["reason"] == "token"
            assert call(client, "POST", "/predict", keys["predict"]).status_code == 200
        issuer.down = True
        with served(FakeModel(), **settings) as client:
            answer = call(client, "POST", "/predict", issuer.token())
            check_problem(answer, 503, "issuer_unavailable")
            assert answer.headers["retry-after"] == "5"


def test_the_page_tells_how_a_key_is_shown_and_which_calls_need_one(keys: Keys) -> None:
    document = create_app(Settings(keys_file=keys["file"])).openapi()
    validate(document)
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["api_key"] | {"description": ""} == {
        "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "",
    }  # fmt: skip
    told = 0
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            needed = SCOPE_OF[method.upper(), path]
            assert described.get("x-neumo-scope") == needed
            assert described.get("security") == (needed and [{"bearer": []}, {"api_key": []}])
            assert {"401", "403", "429"} & set(described["responses"]) == (
                {"401", "403", "429"} if needed else set()
            )
            told += needed is not None
    told_of = {path: needed for (_, path), needed in SCOPE_OF.items() if "/v2" not in path}
    assert told == sum(needed is not None for needed in told_of.values())


def test_where_nobody_is_asked_the_page_asks_for_nothing() -> None:
    document = create_app(Settings()).openapi()
    assert "securitySchemes" not in document["components"]
    assert all("security" not in each["post"] for each in (document["paths"]["/predict"],))
