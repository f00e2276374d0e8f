"""Readiness by dependency: each is broken once, before the start or while it serves.

Only what a Reading can't be had without makes it unready: the model, as
`tests/contract/test_health.py` shows, and the audit trail where nothing may go unwritten:
`tests/contract/test_feedback.py`.
"""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.access.key import Key
from app.access.key_file import change_keys
from tests.apps import wait_until
from tests.certificates import Authority
from tests.issuer import AUDIENCE, LocalIssuer, issuing
from tests.server import Server, free_port, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    """What the holder of the one key shows."""
    key, secret = Key.create("pacs", frozenset(("predict", "metrics")), datetime.now(UTC))
    change_keys(folder / "keys.json", lambda _: [key])
    return secret


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def service(
    folder: Path,
    key: str,  # noqa: ARG001 - its file
    issuer: LocalIssuer,
) -> Iterator[Server]:
    """A service that depends on all there is; what can be away at the start is away.

    That is the audit trail's database, the traces' collector, the shadow and a further model.
    """
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    authority = Authority(folder)
    cert, private = authority.issue("neumo")
    environment = {
        "NEUMO_KEYS_FILE": str(folder / "keys.json"),
        "NEUMO_TLS_CERT": str(cert),
        "NEUMO_TLS_KEY": str(private),
        "NEUMO_OIDC_ISSUER": issuer.address,
        "NEUMO_OIDC_AUDIENCE": AUDIENCE,
        "NEUMO_AUDIT_FOLDER": str(folder / "trail"),
        "NEUMO_AUDIT_DATABASE": f"postgresql://neumo@127.0.0.1:{free_port()}/neumo",
        "NEUMO_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "NEUMO_SHADOW": str(folder / "no-shadow-1"),
        "NEUMO_MODELS": str(folder / "no-model-1"),
    }
    context = ssl.create_default_context(cafile=str(authority.ca))
    with running(environment=environment, context=context) as server:
        yield server


def check_serves(service: Server, key: str, jpeg: bytes) -> None:
    """Assert that it is ready, and reads."""
    assert service.call("GET", "/health/ready")[0] == 200
    status, _, _ = service.call("POST", "/predict", jpeg, {"X-API-Key": key})
    assert status == 200


def test_database_collector_shadow_and_further_models_may_be_away(
    service: Server, key: str, jpeg: bytes
) -> None:
    check_serves(service, key, jpeg)
    metrics = service.call("GET", "/metrics", headers={"X-API-Key": key})[2].decode()
    for name in ("no-shadow-1", "no-model-1"):
        assert f'neumo_model_state{{model="{name}",state="failed"}} 1.0' in metrics


def test_the_issuer_of_tokens_may_be_away(
    service: Server, key: str, jpeg: bytes, issuer: LocalIssuer
) -> None:
    issuer.down = True
    token = {"Authorization": f"Bearer {issuer.token()}"}
    assert service.call("POST", "/predict", jpeg, token)[0] == 503
    check_serves(service, key, jpeg)


def spoil_keys(folder: Path) -> None:
    (folder / "keys.json").write_text("{", encoding="utf-8")


def spoil_certificate(folder: Path) -> None:
    (folder / "neumo.pem").write_text("no certificate", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_keys, "keys are not read anew, the old ones stay"),
        (spoil_certificate, "certificate is not read anew, the old one stays"),
    ],
)
def test_a_file_may_be_spoiled_while_it_serves(
    service: Server, key: str, jpeg: bytes, folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder)

    def is_noticed() -> bool:
        check_serves(service, key, jpeg)
        return told in service.log_text()

    wait_until(is_noticed)
    check_serves(service, key, jpeg)
