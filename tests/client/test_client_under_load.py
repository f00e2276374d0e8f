"""The Python client where a service is full, slow, or dies: no film is lost, none is mixed up."""

import asyncio
import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from neumo_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    FilmRefused,
    NeumoError,
    Reading,
    Retries,
    Unauthenticated,
)
from neumo_client.retries import NO_RETRIES
from tests.client.answering import client_by
from tests.server import Server, running, running_code

SLOW = """
import sys, time
from app.service.service import load_model_from
from app.settings.settings import Settings
from app.server.supervisor import serve

class Slow:
    '''A network that takes longer than the deadline over its first films.'''

    def __init__(self, model):
        self.model, self.card, self.card_json = model, model.card, model.card_json
        self.left = TIMES

    def run(self, pixels):
        if self.left > 0:
            self.left -= 1
            time.sleep(1.0)
        return self.model.run(pixels)

settings = Settings(port=PORT, deadline_s=0.6, threads=4, workers=1, drain_delay_s=0)
sys.exit(serve(settings, lambda settings: Slow(load_model_from(settings))))
"""


def numbered(jpeg: bytes, count: int) -> list[bytes]:
    """Return one film as so many files that differ by a comment alone."""
    return [
        jpeg[:2] + b"\xff\xfe\x00\x06" + index.to_bytes(4, "big") + jpeg[2:]
        for index in range(count)
    ]


def read_many(
    url: str,
    films: list[bytes],
    *,
    is_async: bool,
    concurrency: int,
    api_key: str | None = None,
) -> list[Reading | NeumoError]:
    retries = Retries(most=30, most_s=120)
    if is_async:

        async def read() -> list[Reading | NeumoError]:
            async with AsyncClient(url, api_key=api_key, retries=retries) as client:
                return await client.predict_many(films, concurrency=concurrency)

        return asyncio.run(read())
    with Client(url, api_key=api_key, retries=retries) as client:
        return client.predict_many(films, concurrency=concurrency)


def are_all_read_in_order(results: list[Reading | NeumoError], films: list[bytes]) -> bool:
    read = [each.image.sha256 if isinstance(each, Reading) else str(each) for each in results]
    return read == [hashlib.sha256(film).hexdigest() for film in films]


def count_of(server: Server, series: str, key: str = "") -> float:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    text = server.call("GET", "/metrics", headers=headers)[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series))


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_two_hundred_films_are_all_read_by_a_service_that_is_full(
    jpeg: bytes, is_async: bool
) -> None:
    films = numbered(jpeg, 200)
    # A queue of a film or two: of sixteen calls at once most are turned away.
    with running("--deadline-s", "0.08", "--threads", "1") as full:
        results = read_many(full.url, films, is_async=is_async, concurrency=16)
        refused = count_of(full, "neumo_refusals_total")
    assert are_all_read_in_order(results, films)
    assert refused >= 5


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_worker_that_is_killed_costs_no_film(jpeg: bytes, is_async: bool) -> None:
    films = numbered(jpeg, 120)
    with running() as server:
        killer = threading.Timer(0.15, lambda: os.kill(server.workers[0], signal.SIGKILL))
        killer.start()
        results = read_many(server.url, films, is_async=is_async, concurrency=4)
        killer.join()
        replaced = [line for line in server.lines() if line["message"] == "a worker is replaced"]
    assert len(replaced) == 1
    assert are_all_read_in_order(results, films)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_films_over_the_rate_of_a_key_are_read_later(
    jpeg: bytes, is_async: bool, tmp_path: Path
) -> None:
    films = numbered(jpeg, 40)
    key = tmp_path / "key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    limits = ("--rate-per-s", "30", "--rate-burst", "5")
    with running("--api-key-file", str(key), *limits) as service:
        results = read_many(service.url, films, is_async=is_async, concurrency=8, api_key="k" * 40)
        limited = count_of(service, 'neumo_refusals_total{code="rate_limited"}', key="k" * 40)
    assert are_all_read_in_order(results, films)
    assert limited > 5


def test_no_key_or_a_wrong_one_is_told_at_once(jpeg: bytes, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    with running("--api-key-file", str(key)) as service:
        for shown in (None, "x" * 40):
            with Client(service.url, api_key=shown) as client:
                assert client.health()  # which needs none
                results = client.predict_many([jpeg] * 3)
            assert [type(each) for each in results] == [Unauthenticated] * 3


@pytest.fixture
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A service that is too slow for its first films, as many as a test says."""
    with running_code(SLOW.replace("TIMES", str(request.param)), tmp_path) as server:
        yield server


@pytest.mark.parametrize("slow", [3], indirect=True)
def test_a_film_that_was_given_up_is_sent_again(slow: Server, jpeg: bytes) -> None:
    with Client(slow.url, retries=NO_RETRIES) as hasty, pytest.raises(DeadlineExceeded) as caught:
        hasty.predict(jpeg)
    assert caught.value.code == "deadline_exceeded"
    with Client(slow.url) as client:
        assert client.predict(jpeg).label == "normal"
    assert count_of(slow, 'neumo_refusals_total{code="deadline_exceeded"}') == 3


@pytest.mark.parametrize("slow", [2], indirect=True)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_of_a_batch_only_the_films_that_were_given_up_are_sent_again(
    slow: Server, jpeg: bytes, is_async: bool
) -> None:
    films: list[bytes] = [*numbered(jpeg, 5), b"no film"]

    async def read() -> list[Reading | NeumoError]:
        async with AsyncClient(slow.url) as client:
            return [*await client.batch(films)]

    if is_async:
        results = asyncio.run(read())
    else:
        with Client(slow.url) as client:
            results = [*client.batch(films)]
    assert are_all_read_in_order(results[:5], films[:5])
    assert isinstance(results[5], FilmRefused)
    assert [each.index for each in results[:5] if isinstance(each, Reading)] == list(range(5))
    assert count_of(slow, "neumo_readings_total") == 5
    assert count_of(slow, 'neumo_refusals_total{code="unsupported_media_type"}') == 1


@pytest.mark.parametrize("slow", [1], indirect=True)
def test_a_batch_is_told_as_far_as_it_came(slow: Server, jpeg: bytes) -> None:
    with Client(slow.url, retries=NO_RETRIES) as client:
        results = client.batch(numbered(jpeg, 3))
    kinds = sorted(type(each).__name__ for each in results)
    assert kinds == ["DeadlineExceeded", "Reading", "Reading"]


@pytest.mark.parametrize("slow", [100], indirect=True)
def test_what_is_cancelled_leaves_nothing_behind_here_or_there(slow: Server, jpeg: bytes) -> None:
    async def cancel() -> set[asyncio.Task[None]]:
        async with AsyncClient(slow.url) as client:
            reading = asyncio.create_task(client.predict_many([jpeg] * 50, concurrency=4))
            while count_of(slow, "neumo_in_flight ") < 4:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(cancel()) == set()
    until_s = time.monotonic() + 10
    while count_of(slow, "neumo_in_flight "):
        assert time.monotonic() < until_s
        time.sleep(0.02)
    assert count_of(slow, 'neumo_requests_total{method="POST",route="/predict",status="499"}') == 4


@pytest.mark.parametrize("slow", [1], indirect=True)
def test_a_call_that_is_timed_out_by_its_caller_is_over_at_once(slow: Server, jpeg: bytes) -> None:
    async def hurry() -> float:
        async with AsyncClient(slow.url) as client:
            begun_s = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.predict(jpeg)
            return time.monotonic() - begun_s

    assert asyncio.run(hurry()) < 0.5


def test_threads_that_wait_to_try_again_end_with_what_ended_their_call() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if b"refuse" in request.read():
            return httpx.Response(422)
        return httpx.Response(503, headers={"Retry-After": "100"})

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    patient = Retries(most_s=1000)
    begun_s = time.monotonic()
    with client_by(answer, patient) as client, pytest.raises(KeyboardInterrupt):
        client.predict_many([b"wait", b"wait", b"refuse"], concurrency=3, progress=stop)
    assert time.monotonic() - begun_s < 5
    assert [each for each in threading.enumerate() if each.name.startswith("neumo")] == []
