"""The application around a model of a test's own, in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
from fastapi.testclient import TestClient

from app.main import create_app
from app.model.session import Model
from app.settings.settings import Settings


@contextmanager
def served(model: Model, **settings: Any) -> Iterator[TestClient]:  # noqa: ANN401 - any setting
    """Serve `model`; calls come one after the other."""
    app = create_app(Settings(**settings), load_model=lambda _: model, load_before_serving=True)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@asynccontextmanager
async def served_to_many(
    model: Model,
    **settings: Any,  # noqa: ANN401 - any setting
) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve `model` on this event loop; calls may overlap, and a body may come in pieces."""
    app = create_app(Settings(**settings), load_model=lambda _: model, load_before_serving=True)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://neumo.test") as client,
    ):
        yield client


class Sending:
    """A body that arrives when a test lets it: an iterable for one of httpx's `content`s.

    `begun` is set once the application has asked for it, so is past what it decides at the head.
    """

    def __init__(self, *pieces: bytes) -> None:
        self.begun = asyncio.Event()
        self.rest = asyncio.Event()
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Send the first piece, and the others once `rest` is set."""
        yield self._pieces[0]
        self.begun.set()
        await self.rest.wait()
        for piece in self._pieces[1:]:
            yield piece


async def wait_for(is_so: Callable[[], Awaitable[bool]], limit_s: float = 10.0) -> None:
    """Return once it is so; the event loop goes on meanwhile."""
    async with asyncio.timeout(limit_s):
        while not await is_so():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.005)


def wait_until(is_so: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Return once it is so; other threads go on meanwhile."""
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, "never so"
        time.sleep(0.005)
