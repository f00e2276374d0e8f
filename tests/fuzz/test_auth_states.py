"""schemathesis over the OpenAPI page: every call, asked by every kind of caller in turn.

Both are programs of their own. Who may ask what is written here by hand, beside the table that
decides; where nobody may, the answer says only that.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.access.caller import SCOPES
from app.access.key import Key
from app.access.key_file import change_keys
from tests.contract.test_access import SCOPE_OF
from tests.issuer import AUDIENCE, issuing
from tests.server import Server, running

pytestmark = pytest.mark.skipif(
    find_spec("schemathesis") is None or find_spec("jwt") is None,
    reason="schemathesis or the extra oidc is not installed",
)
EXAMPLES = int(os.environ.get("NEUMO_TEST_SCHEMATHESIS_EXAMPLES", "12"))

HOOKS = """
import itertools, json
import schemathesis
from hypothesis import strategies
from pathlib import Path

told = json.loads(Path({told!r}).read_text())
images = strategies.sampled_from([path.read_bytes() for path in map(Path, told["films"])])
schemathesis.openapi.format("binary", images)
for media_type in ("image/jpeg", "image/png", "application/dicom"):
    schemathesis.openapi.media_type(media_type, images)
callers = itertools.cycle(told["callers"])
asked = {{}}


@schemathesis.hook
def before_call(context, case, kwargs):
    caller = next(callers)
    for name in list(case.headers):
        if name.lower() in ("authorization", "x-api-key"):
            del case.headers[name]
    case.headers.update(caller["headers"])
    asked[case.id] = caller


@schemathesis.check
def lets_in_whom_it_should(ctx, response, case):
    caller = asked[case.id]
    status = response.status_code
    scope = told["scopes"].get(f"{{case.method.upper()}} {{case.operation.path}}", "?")
    Path({seen!r}).open("a").write(f"{{caller['name']}} {{scope}} {{status}}\\n")
    assert scope != "?", case.operation.path
    if status == 405 or scope is None or told["open"]:
        assert status not in (401, 403), (status, caller["name"], scope)
    elif not caller["scopes"] and status != 429:
        assert status in (400, 401) if len(caller["headers"]) > 1 else status == 401, status
    elif scope not in caller["scopes"] and status != 429:
        assert status == 403, (status, caller["name"], scope)
    else:
        assert status not in (401, 403), (status, caller["name"], scope)
    if status >= 400 and response.content:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert response.json()["status"] == status
"""
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "lets_in_whom_it_should",
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """Somebody who asks: the headers shown, and what they open."""

    name: str
    headers: dict[str, str]
    scopes: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Asking]]]:
    """A service with keys and an issuer, and everybody who may ask it."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    now = datetime.now(UTC)
    made, asking = [], [Asking("nobody", {})]
    for scope in SCOPES:
        key, secret = Key.create(scope, frozenset((scope,)), now)
        made.append(key)
        asking.append(Asking(f"{scope} by bearer", bearer(secret), (scope,)))
        asking.append(Asking(f"{scope} by header", {"X-API-Key": secret}, (scope,)))
        both = bearer(secret) | {"X-API-Key": secret}
        asking.append(Asking(f"{scope} by both", both, (scope,)))
    old, expired = Key.create("old", frozenset(SCOPES), now, now - timedelta(days=1))
    lost, revoked = Key.create("lost", frozenset(SCOPES), now)
    _, wrong = Key.create("wrong", frozenset(SCOPES), now)
    change_keys(path, lambda _: [*made, old, lost.revoke(now)])
    asking += [
        Asking("expired", bearer(expired)),
        Asking("revoked", {"X-API-Key": revoked}),
        Asking("wrong", bearer(wrong)),
        Asking("wrong and right", bearer(asking[1].headers["Authorization"][7:] + "x")),
        Asking("two keys", bearer(wrong) | {"X-API-Key": expired}),
        Asking("a password", {"Authorization": "Basic bmV1bW86bmV1bW8="}),
        Asking("a long one", bearer("k" * 20_000)),
    ]
    with issuing() as issuer:
        asking += [
            Asking("token", bearer(issuer.token(scope="predict")), ("predict",)),
            Asking("old token", bearer(issuer.token(exp=1))),
        ]
        environment = {
            "NEUMO_KEYS_FILE": str(path),
            "NEUMO_OIDC_ISSUER": issuer.address,
            "NEUMO_OIDC_AUDIENCE": AUDIENCE,
        }
        with running(environment=environment) as server:
            yield server, asking


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def run_schemathesis(
    server: Server, asking: list[Asking], films: list[Path], folder: Path, *, is_open: bool
) -> set[tuple[str, str]]:
    """Run it; return the callers and scopes that were tried."""
    told, seen, hooks = (folder / name for name in ("told.json", "seen", "hooks.py"))
    scopes = {" ".join(call): scope for call, scope in SCOPE_OF.items()}
    content = {
        "callers": [asdict(each) for each in asking],
        "scopes": scopes,
        "films": list(map(str, films)),
        "open": is_open,
    }
    told.write_text(json.dumps(content))
    hooks.write_text(HOOKS.format(told=str(told), seen=str(seen)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--phases", "fuzzing", "--mode", "all"),
            *(
                "--max-examples",
                str(EXAMPLES),
                "--no-shrink",
                "--seed",
                "20",
                "--continue-on-failure",
            ),
        ],
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(hooks)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    lines = seen.read_text().splitlines()
    return {(line.rsplit(" ", 2)[0], line.rsplit(" ", 2)[1]) for line in lines}


def test_each_call_by_each_caller(guarded: tuple[Server, list[Asking]]) -> None:
    """Once each: schemathesis asks a call without parameters but a few times."""
    server, asking = guarded
    wrong = []
    for (method, declared), scope in SCOPE_OF.items():
        path = declared.replace("{name}", "x").replace("{request_id}", "x")
        path = path.replace("{id}", "x").replace("{study_uid}", "1.2.3")
        path = path.replace("/static-offline-docs", "/static-offline-docs/swagger-ui.css")
        for each in asking:
            body = b"no film" if method == "POST" else None
            status = server.call(method, path, body, each.headers)[0]
            if scope is None:
                good = status == 200
            elif not each.scopes:
                good = status in ((400,) if len(each.headers) > 1 else (401, 429))
            elif scope not in each.scopes:
                good = status == 403
            else:
                good = status not in (401, 403, 429)
            if not good:
                wrong.append((method, path, each.name, status))
    assert wrong == []


def test_every_call_lets_in_whom_it_should_and_nobody_else(
    guarded: tuple[Server, list[Asking]], examples: dict[str, Path], tmp_path: Path
) -> None:
    server, asking = guarded
    tried = run_schemathesis(server, asking, list(examples.values()), tmp_path, is_open=False)
    assert {name for name, _ in tried} == {each.name for each in asking}
    assert {"predict", "metrics", "admin", "None"} <= {scope for _, scope in tried}
    log = server.log_text()
    for each in asking:
        assert not any(value.split(" ")[-1] in log for value in each.headers.values())


def test_where_no_keys_are_set_this_machine_may_all(
    server: Server, examples: dict[str, Path], tmp_path: Path
) -> None:
    asking = [Asking("nobody", {}), Asking("a key", bearer("k" * 60))]
    tried = run_schemathesis(server, asking, list(examples.values()), tmp_path, is_open=True)
    assert {name for name, _ in tried} == {"nobody", "a key"}
