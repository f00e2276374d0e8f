"""app.http.route_scopes: no route is forgotten."""

import pytest
from fastapi import APIRouter
from starlette.responses import Response
from starlette.routing import Mount, Route

from app.http.route_scopes import OPEN, ROUTE_SCOPES, RouteScopes, UnknownRoute


async def answer() -> Response:
    return Response()


def router_of(*paths: str) -> APIRouter:
    router = APIRouter()
    for path in paths:
        router.add_api_route(path, answer)
    return router


def test_each_path_has_the_scope_that_is_declared() -> None:
    declared = {"/a": "predict", "/b": OPEN, "/c/{name}/do": "admin", "/files": OPEN}
    files = Mount("/files", answer)
    scopes = RouteScopes.of([router_of("/a", "/b"), router_of("/c/{name}/do")], [files], declared)  # type: ignore[arg-type]
    assert scopes.scope_of("/a") == "predict"
    assert scopes.scope_of("/b") is OPEN
    assert scopes.scope_of("/c/some-name/do") == "admin"
    assert scopes.scope_of("/files/x.css") is OPEN
    for path in ("/", "/a/", "/c/x/y/do", "/c//do", "/filesystem", "/files", ""):
        with pytest.raises(UnknownRoute):
            scopes.scope_of(path)


@pytest.mark.parametrize(
    "routes",
    [
        ([router_of("/predict", "/forgotten")], []),
        ([], [Route("/forgotten", answer)]),
        ([], [Mount("/forgotten", answer)]),
    ],
    ids=["included", "beside", "mounted"],
)
def test_a_route_that_nobody_declared_stops_the_start(
    routes: tuple[list[APIRouter], list[Route | Mount]],
) -> None:
    with pytest.raises(RuntimeError, match=r"/forgotten.*route_scopes"):
        RouteScopes.of(*routes)


def test_a_route_that_is_declared_and_not_served_is_unknown() -> None:
    scopes = RouteScopes.of([router_of("/predict")], [])
    assert "/metrics" in ROUTE_SCOPES
    with pytest.raises(UnknownRoute):
        scopes.scope_of("/metrics")
