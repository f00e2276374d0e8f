"""Whatever a route depends on is asked before anything is read: FastAPI's promise, kept here."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.http.routes import explain, predict, preview
from tests.apps import served
from tests.images import encode
from tests.models import FakeModel


def deny() -> None:
    """Let nobody in."""
    raise HTTPException(403)


DENY = Depends(deny)
Deny = Callable[[pytest.MonkeyPatch], None]


def on_each_route(monkeypatch: pytest.MonkeyPatch) -> None:
    for route in (
        *predict.router.routes,
        *explain.router.routes,
        *preview.router.routes,
    ):
        assert isinstance(route, APIRoute)
        monkeypatch.setattr(route, "dependencies", [*route.dependencies, DENY])


def on_what_is_included(monkeypatch: pytest.MonkeyPatch) -> None:
    include = FastAPI.include_router

    def include_denied(app: FastAPI, router: APIRouter, **more: Any) -> None:  # noqa: ANN401 - as FastAPI's
        include(app, router, **more | {"dependencies": [DENY]})

    monkeypatch.setattr(FastAPI, "include_router", include_denied)


def on_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    build = FastAPI.__init__

    def build_denied(app: FastAPI, **more: Any) -> None:  # noqa: ANN401 - as FastAPI's
        build(app, **more | {"dependencies": [DENY]})

    monkeypatch.setattr(FastAPI, "__init__", build_denied)


@pytest.fixture(params=[on_each_route, on_what_is_included, on_the_application])
def denied(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, FakeModel]]:
    """An application that depends on somebody who lets nobody in, and its model."""
    put: Deny = request.param
    put(monkeypatch)
    model = FakeModel()
    with served(model) as client:
        yield client, model


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain", "/preview"])
def test_what_a_dependency_refuses_is_not_read(
    denied: tuple[TestClient, FakeModel], path: str
) -> None:
    client, model = denied
    image = encode(np.full((224, 224), 99, np.uint8), "PNG")
    assert client.post(path, files={"file": image}).status_code == 403
    assert model.seen == []
