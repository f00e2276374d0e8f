"""What one caller's requests may cost another's: memory, a place in the queue, a task."""

import asyncio
from typing import Any

import httpx2
import numpy as np

from app.main import create_app
from app.settings.settings import Settings
from tests.apps import Sending, served_to_many, wait_for
from tests.contract.test_health import value_of
from tests.images import encode
from tests.models import FakeModel, HeldModel

DARK, BRIGHT = 20, 220


def flat(grey: int) -> bytes:
    """Draw an image of one grey, which a fake model can tell from others."""
    return encode(np.full((224, 224), grey, np.uint8), "PNG")


def code_of(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def queue_depth(client: httpx2.AsyncClient) -> float:
    return value_of((await client.get("/metrics")).text, "neumo_queue_depth")


def test_bodies_that_arrive_at_once_are_held_up_to_a_limit_together() -> None:
    async def scenario() -> None:
        async with served_to_many(FakeModel(), max_held_bytes=10_000) as client:
            first = Sending(b"x" * 6_000, b"x" * 10)
            arriving = asyncio.create_task(client.post("/predict", content=first))
            await first.begun.wait()

            declared = await client.post("/predict", content=b"x" * 6_000)
            assert code_of(declared) == (503, "overloaded")
            assert declared.headers["retry-after"] == "1"
            undeclared = Sending(b"x" * 3_000, b"x" * 3_000)
            undeclared.rest.set()
            assert code_of(await client.post("/predict", content=undeclared)) == (503, "overloaded")
            small = await client.post("/predict", content=b"x" * 3_000)
            assert code_of(small) == (415, "unsupported_media_type")  # there is room for it

            first.rest.set()
            assert code_of(await arriving) == (415, "unsupported_media_type")
            again = await client.post("/predict", content=b"x" * 6_000)
            assert code_of(again) == (415, "unsupported_media_type")  # what was held is let go

    asyncio.run(scenario())


def test_a_single_image_is_read_between_those_of_a_batch() -> None:
    async def scenario() -> list[int]:
        model = HeldModel()
        async with served_to_many(model, threads=1, deadline_s=20) as client:
            files = [("file", flat(BRIGHT))] * 32
            batch = asyncio.create_task(client.post("/predict/batch", files=files))
            await asyncio.to_thread(model.begun.wait, 10)
            before = await queue_depth(client)
            single = asyncio.create_task(client.post("/predict", content=flat(DARK)))

            async def is_queued() -> bool:
                return await queue_depth(client) > before

            await wait_for(is_queued)
            model.go_on.set()
            assert (await single).status_code == 200
            assert len((await batch).json()["results"]) == 32
        return [int(pixels[0, 0, 0, 0]) for pixels in model.seen]

    order = asyncio.run(scenario())
    assert sorted(order) == [DARK] + [BRIGHT] * 32
    assert order.index(DARK) <= 2


def test_what_was_let_in_early_and_comes_too_late_is_refused_at_once() -> None:
    """All heads come to an empty queue; the bodies fill it for longer than the deadline."""

    async def scenario() -> None:
        model = HeldModel()
        image = flat(BRIGHT)
        async with served_to_many(model, threads=1, deadline_s=1) as client:
            bodies = [Sending(image[:10], image[10:]) for _ in range(60)]
            calls = [asyncio.create_task(client.post("/predict", content=body)) for body in bodies]
            for body in bodies:
                await body.begun.wait()
            for body in bodies[:-1]:
                body.rest.set()
            await asyncio.to_thread(model.begun.wait, 10)
            bodies[-1].rest.set()
            last = await calls[-1]
            model.go_on.set()
            await asyncio.gather(*calls)
        assert code_of(last) == (503, "overloaded")
        assert int(last.headers["retry-after"]) >= 1

    asyncio.run(scenario())


def test_no_task_is_left_of_a_request_whose_connection_stays_open() -> None:
    image = flat(BRIGHT)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-length", str(len(image)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    answer: list[Any] = []
    body = [{"type": "http.request", "body": image, "more_body": False}]

    async def receive() -> Any:  # noqa: ANN401 - an ASGI message
        if body:
            return body.pop()
        return await asyncio.Event().wait()  # the client neither asks nor goes

    async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        answer.append(message)

    async def scenario() -> set[asyncio.Task[Any]]:
        app = create_app(Settings(), load_model=lambda _: FakeModel(), load_before_serving=True)
        async with app.router.lifespan_context(app):
            before = asyncio.all_tasks()
            await app(scope, receive, send)
            for _ in range(3):  # what is cancelled ends at its next turn
                await asyncio.sleep(0)
            return asyncio.all_tasks() - before

    assert asyncio.run(scenario()) == set()
    assert answer[0]["status"] == 200
