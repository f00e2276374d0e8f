"""Pages of other origins: what they may have done, and what of the answer they get to see."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings.settings import Settings
from tests.conftest import wait_until_ready
from tests.contract.test_health import value_of
from tests.contract.test_problems import check_problem

VIEWER = "https://viewer.example.org"
EVIL = "https://evil.test"
ASKING = {"Origin": VIEWER, "Access-Control-Request-Method": "POST"}


@pytest.fixture(scope="module")
def open_to_viewer() -> Iterator[TestClient]:
    """An application that a viewer's page may call."""
    app = create_app(Settings(cors_origins=VIEWER))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain", "/preview", "/no"])
def test_a_post_from_another_origin_is_refused_and_counted(client: TestClient, path: str) -> None:
    series = 'neumo_refusals_total{code="origin_not_allowed"}'
    before = value_of(client.get("/metrics").text, series)
    response = client.post(path, files={"file": b"x"}, headers={"Origin": EVIL})
    problem = check_problem(response, 403, "origin_not_allowed")
    assert "NEUMO_CORS_ORIGINS" in problem["detail"]
    assert "evil" not in response.text
    assert "access-control-allow-origin" not in response.headers
    assert value_of(client.get("/metrics").text, series) == before + 1


def test_the_services_own_page_is_answered(client: TestClient, jpeg: bytes) -> None:
    own = {"Origin": "http://testserver"}
    assert client.post("/predict", content=jpeg, headers=own).status_code == 200
    proxied = {"Origin": "https://neumo.hospital", "X-Forwarded-Host": "neumo.hospital"}
    assert client.post("/predict", content=jpeg, headers=proxied).status_code == 200


def test_an_allowed_page_gets_its_reading_and_may_see_it(
    open_to_viewer: TestClient, jpeg: bytes
) -> None:
    response = open_to_viewer.post("/predict", content=jpeg, headers={"Origin": VIEWER})
    assert response.json()["label"] == "normal"
    assert response.headers["access-control-allow-origin"] == VIEWER
    assert response.headers["access-control-expose-headers"] == "Retry-After, X-Request-ID"
    assert response.headers.get_list("vary") == ["Accept-Language", "Origin"]
    assert "access-control-allow-credentials" not in response.headers


def test_an_allowed_page_may_see_errors_too(open_to_viewer: TestClient) -> None:
    for path, status in (("/predict", 400), ("/no", 404), ("/health/live", 405)):
        response = open_to_viewer.post(path, headers={"Origin": VIEWER})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == VIEWER


def test_every_other_page_is_refused_as_before(open_to_viewer: TestClient, jpeg: bytes) -> None:
    response = open_to_viewer.post("/predict", content=jpeg, headers={"Origin": EVIL})
    check_problem(response, 403, "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers
    assert "Origin" in response.headers.get_list("vary")


def test_a_page_that_asks_what_it_may_send_is_told(open_to_viewer: TestClient) -> None:
    response = open_to_viewer.options("/predict", headers=ASKING)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == VIEWER
    assert response.headers["access-control-allow-methods"] == "POST"
    assert {"Authorization", "X-API-Key", "Content-Type"} <= set(
        response.headers["access-control-allow-headers"].split(", ")
    )
    assert open_to_viewer.options("/model", headers=ASKING).headers[
        "access-control-allow-methods"
    ] == ("GET, HEAD")


@pytest.mark.parametrize("origin", [EVIL, "null", "http://viewer.example.org", f"{VIEWER}:444"])
def test_a_page_that_may_nothing_is_told_so_when_it_asks(
    open_to_viewer: TestClient, client: TestClient, origin: str
) -> None:
    for each in (open_to_viewer, client):
        response = each.options("/predict", headers=ASKING | {"Origin": origin})
        check_problem(response, 403, "origin_not_allowed")
        assert "access-control-allow-origin" not in response.headers


def test_options_without_a_page_that_asks_is_no_method_of_a_path(client: TestClient) -> None:
    check_problem(client.options("/predict"), 405, "method_not_allowed")


@pytest.fixture(scope="module")
def with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The same, where callers have to show a key."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    app = create_app(Settings(cors_origins=VIEWER, api_key_file=str(key)))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def test_a_page_asks_without_a_key_and_then_shows_it(with_key: TestClient, jpeg: bytes) -> None:
    assert with_key.options("/predict", headers=ASKING).status_code == 204
    page = {"Origin": VIEWER}
    without = with_key.post("/predict", content=jpeg, headers=page)
    check_problem(without, 401, "unauthenticated")
    assert without.headers["access-control-allow-origin"] == VIEWER
    shown = page | {"Authorization": "Bearer " + "k" * 40}
    assert with_key.post("/predict", content=jpeg, headers=shown).status_code == 200


def test_a_key_does_not_let_another_page_in(with_key: TestClient, jpeg: bytes) -> None:
    shown = {"Origin": EVIL, "Authorization": "Bearer " + "k" * 40}
    check_problem(with_key.post("/predict", content=jpeg, headers=shown), 403, "origin_not_allowed")


def test_the_document_names_the_refusal_where_something_is_done(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    naming = {
        (method, path)
        for path, calls in paths.items()
        for method, call in calls.items()
        if "origin_not_allowed" in call["responses"].get("403", {}).get("description", "")
    }
    doing = {(method, path) for path, calls in paths.items() for method in calls} - {
        ("get", path) for path in paths
    }
    assert naming == doing
    assert ("post", "/predict") in doing
