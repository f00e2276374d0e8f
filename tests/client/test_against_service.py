"""The Python client against a real service, each call of both clients."""

import asyncio
import inspect
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neumo_client import (
    AsyncClient,
    Client,
    ConnectionLost,
    Film,
    FilmRefused,
    FilmUnreadable,
    InvalidCall,
    NeumoError,
    Problem,
    Reading,
    Retries,
    TimedOut,
    UnexpectedAnswer,
)
from neumo_client.retries import NO_RETRIES
from tests.conftest import ROOT
from tests.server import Server, free_port, multipart, started

DICOM = ROOT / "examples" / "normal.dcm"


class Both:
    """Calls a method of the sync or of the async client, by one name."""

    def __init__(self, url: str, *, is_async: bool, **options: Any) -> None:  # noqa: ANN401
        self._make: Callable[[], Any] = lambda: (AsyncClient if is_async else Client)(
            url, **options
        )
        self._is_async = is_async

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method
        async def call_async(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            async with self._make() as client:
                return await getattr(client, name)(*arguments, **options)

        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            if self._is_async:
                return asyncio.run(call_async(*arguments, **options))
            with self._make() as client:
                return getattr(client, name)(*arguments, **options)

        return call


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def neumo(request: pytest.FixtureRequest, server: Server) -> Both:
    """One of the two clients."""
    return Both(server.url, is_async=request.param)


def test_both_clients_take_the_same_calls_in_the_same_words() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and "close" not in name
        }

    assert calls(Client) == calls(AsyncClient)
    assert set(calls(Client)) == {
        "predict", "predict_many", "batch", "explain", "explain_numbers", "preview",
        "film_reading", "model", "health", "wait_until_ready",
    }  # fmt: skip


def test_a_film_is_taken_as_bytes_path_or_open_file(neumo: Both, examples: dict[str, Path]) -> None:
    path = examples["covid19"]
    content = path.read_bytes()
    for film in (content, bytearray(content), memoryview(content), path, str(path), Film(path)):
        assert neumo.predict(film).label == "covid19"
    with path.open("rb") as file:
        assert neumo.predict(file).label == "covid19"
    assert neumo.predict(io.BytesIO(content)).image.sha256 == neumo.predict(path).image.sha256


def test_the_answer_is_the_services_own(
    neumo: Both, server: Server, examples: dict[str, Path]
) -> None:
    body, headers = multipart(("file", "film", examples["normal"].read_bytes()))
    told = json.loads(server.call("POST", "/predict", body, headers)[2])
    reading = neumo.predict(examples["normal"])
    assert isinstance(reading, Reading)
    assert dict(reading.probabilities) == told["probabilities"]
    assert (reading.model.name, reading.model.sha256) == (
        told["model"]["name"],
        told["model"]["sha256"],
    )
    assert server.line_of(reading.request_id)["status"] == 200


def test_what_is_said_of_the_patient_is_heard(neumo: Both, examples: dict[str, Path]) -> None:
    def codes(**said: Any) -> list[str]:  # noqa: ANN401
        return [each.code for each in neumo.predict(examples["covid19"], **said).warnings]

    assert codes() == ["population_unknown", "site_not_validated"]
    assert codes(age_years=61, view="PA") == ["site_not_validated"]
    assert codes(age_years="061Y") == ["site_not_validated"]
    assert "age_outside_population" in codes(age_years=3)


def test_windows_uids_and_languages_are_asked_for(neumo: Both) -> None:
    plain = neumo.predict(DICOM)
    asked = neumo.predict(DICOM, window=2, include_uid=True, language="es")
    assert plain.image.dicom is not None
    assert asked.image.dicom is not None
    assert (plain.image.dicom.window.width, asked.image.dicom.window.width) == (2551, 1913)
    assert plain.image.dicom.sop_instance_uid is None
    assert asked.image.dicom.sop_instance_uid.startswith("2.25.")
    assert asked.notice.startswith("No es un producto sanitario")


def test_a_heatmap_comes_if_it_is_asked_for(neumo: Both, examples: dict[str, Path]) -> None:
    assert neumo.predict(examples["covid19"]).heatmap is None
    heatmap = neumo.predict(examples["covid19"], heatmap=True).heatmap
    assert heatmap.map.label == "covid19"
    numbers = neumo.explain_numbers(examples["covid19"], label="covid19")
    assert numbers.map == heatmap.map


def test_pictures_come_as_bytes(neumo: Both, examples: dict[str, Path]) -> None:
    assert neumo.explain(examples["normal"], label="covid19").startswith(b"\x89PNG")
    assert neumo.explain(examples["normal"]) != neumo.explain(examples["normal"], label="covid19")
    assert neumo.preview(DICOM, max_px=100).startswith(b"\x89PNG")
    assert neumo.preview(DICOM, jpeg=True, window=2).startswith(b"\xff\xd8")


def test_the_card_and_the_health_are_told(neumo: Both) -> None:
    assert neumo.model()["name"] == "neumo-r18-3"
    assert [neumo.health(kind) for kind in ("live", "ready", "startup")] == [True] * 3
    neumo.wait_until_ready()


def test_where_no_films_are_kept_none_is_told(neumo: Both) -> None:
    with pytest.raises(Problem) as told:
        neumo.film_reading("1.2.3")
    assert (told.value.status, told.value.code) == (404, "exchange_off")


def test_a_batch_has_a_result_for_each_film_in_order(
    neumo: Both, examples: dict[str, Path]
) -> None:
    films = [
        Film(examples["covid19"], age_years=61, view="PA"),
        b"no film",
        examples["normal"],
        b"",
    ]
    results = neumo.batch(films)
    assert [getattr(each, "code", None) or each.label for each in results] == [
        "covid19", "unsupported_media_type", "normal", "empty_upload",
    ]  # fmt: skip
    assert isinstance(results[1], FilmRefused)
    assert [results[0].index, results[2].index] == [0, 2]
    assert [each.members["index"] for each in (results[1], results[3])] == [1, 3]
    assert [each.code for each in results[0].warnings] == ["site_not_validated"]
    assert "population_unknown" in [each.code for each in results[2].warnings]
    assert neumo.batch([]) == []


def test_a_batch_of_too_many_or_with_windows_of_its_films_is_told(neumo: Both, jpeg: bytes) -> None:
    with pytest.raises(InvalidCall) as caught:
        neumo.batch([jpeg] * 33)
    assert (caught.value.code, caught.value.members["max_files"]) == ("too_many_files", 32)
    with pytest.raises(ValueError, match="one window"):
        neumo.batch([Film(jpeg, window=2)])


def test_many_films_come_back_in_order_with_each_ones_error(
    neumo: Both, examples: dict[str, Path], tmp_path: Path
) -> None:
    labels = ["normal", "covid19"]
    films = [examples[labels[index % 2]] for index in range(20)]
    films[3] = tmp_path / "missing.dcm"
    films[7] = tmp_path / "text.jpg"
    films[7].write_text("no film")
    done: list[tuple[int, int | None]] = []
    results = neumo.predict_many(
        films, concurrency=5, progress=lambda *told: done.append(told), age_years=61, view="PA"
    )
    assert done == [(count, 20) for count in range(1, 21)]
    assert isinstance(results[3], FilmUnreadable)
    assert "missing" not in str(results[3])
    assert results[7].code == "unsupported_media_type"
    read = [each.label if isinstance(each, Reading) else None for each in results]
    assert read == [None if index in (3, 7) else labels[index % 2] for index in range(20)]


def test_many_films_may_come_from_a_generator_and_are_read_when_their_turn_comes(
    neumo: Both, jpeg: bytes
) -> None:
    ahead: list[int] = []
    given = answered = 0

    def films() -> Iterator[bytes]:
        nonlocal given
        for _ in range(15):
            given += 1
            ahead.append(given - answered)
            yield jpeg

    def count(done: int, total: int | None) -> None:
        nonlocal answered
        assert total is None
        answered = done

    assert len(neumo.predict_many(films(), concurrency=3, progress=count)) == 15
    assert max(ahead) <= 4


def test_one_film_is_not_taken_for_many(neumo: Both, jpeg: bytes) -> None:
    for film in (jpeg, "film.dcm", Path("film.dcm"), Film(jpeg)):
        with pytest.raises(TypeError, match="one film"):
            neumo.predict_many(film)
        with pytest.raises(TypeError, match="one film"):
            neumo.batch(film)


def test_what_a_callers_own_code_raises_comes_out_as_it_is(neumo: Both, jpeg: bytes) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        neumo.predict_many([jpeg] * 50, progress=fail)


def test_a_refused_film_says_why_in_the_language_asked_for(
    neumo: Both, examples: dict[str, Path]
) -> None:
    with pytest.raises(FilmRefused) as caught:
        neumo.predict(examples["normal"].read_bytes()[:9000], language="es")
    assert (caught.value.code, caught.value.title) == ("image_truncated", "Imagen incompleta")


def test_a_text_file_is_told_before_it_is_sent(neumo: Both) -> None:
    text = (ROOT / "README.md").open(encoding="utf-8")
    with text, pytest.raises(FilmUnreadable, match="mode 'rb'"):
        neumo.predict(text)
    with pytest.raises(FilmUnreadable):
        neumo.predict(text)  # closed


@pytest.mark.parametrize("is_async", [False, True])
def test_nobody_there_is_told_once_the_attempts_are_over(is_async: bool, jpeg: bytes) -> None:
    away = Both(
        f"http://127.0.0.1:{free_port()}",
        is_async=is_async,
        retries=Retries(most=2, first_s=0.01),
    )
    with pytest.raises(ConnectionLost):
        away.predict(jpeg)
    with pytest.raises(ConnectionLost):
        away.health()
    with pytest.raises(TimedOut, match="not ready"):
        away.wait_until_ready(0.1)


@pytest.mark.parametrize("is_async", [False, True])
def test_another_service_is_not_taken_for_neumo(server: Server, is_async: bool) -> None:
    # Below /docs there is nothing; a web page stands at /docs itself.
    elsewhere = Both(f"{server.url}/docs", is_async=is_async, retries=NO_RETRIES)
    with pytest.raises(InvalidCall) as caught:
        elsewhere.model()
    assert caught.value.code == "not_found"
    page = Both(f"{server.url}/docs?x=", is_async=is_async)
    with pytest.raises(ValueError, match="query"):
        page.model()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_service_that_starts_is_waited_for(is_async: bool, jpeg: bytes) -> None:
    with started() as starting:
        neumo = Both(starting.url, is_async=is_async)
        neumo.wait_until_ready()
        assert neumo.predict(jpeg).label == "normal"


def test_a_web_page_in_place_of_an_answer_is_told(server: Server) -> None:
    with Client(server.url) as client:
        call: Callable[..., Any] = client._http.request
        client._http.request = lambda **_: call("GET", "/docs")  # type: ignore[method-assign]
        for ask in (client.model, client.health, lambda: client.preview(b"x")):
            with pytest.raises(UnexpectedAnswer):
                ask()


def error_of(call: Awaitable[object]) -> NeumoError:
    with pytest.raises(NeumoError) as caught:
        asyncio.run(call)  # type: ignore[arg-type]
    return caught.value


def test_a_problem_of_the_async_client_is_as_of_the_sync_one(server: Server) -> None:
    async def call() -> None:
        async with AsyncClient(server.url) as client:
            await client.predict(b"")

    error = error_of(call())
    assert isinstance(error, Problem)
    assert error.code == "empty_upload"
