"""neumo_client.retries: what is tried again, when, how often, and that it is sent whole again."""

import logging
from pathlib import Path

import httpx
import pytest

from neumo_client import (
    Client,
    ConnectionLost,
    FilmRefused,
    NeumoError,
    Problem,
    Retries,
    TimedOut,
    Unavailable,
)
from neumo_client.retries import Attempts
from tests.client.answering import client_by, client_of


class Clock:
    """A time that passes only by waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def waits(
    rules: Retries, error: NeumoError, *, most: bool, limit: int = 100
) -> tuple[list[float], bool]:
    """Return the waits between attempts that all fail, and whether the error came in the end."""
    clock, found = Clock(), []
    attempts = Attempts(rules, clock, lambda low, high: high if most else low)
    for _ in range(limit):
        try:
            wait_s = attempts.wait_s(error)
        except NeumoError as raised:
            assert raised is error
            return found, True
        found.append(wait_s)
        clock.now_s += wait_s
    return found, False


def full(retry_after_s: float | None = None) -> Problem:
    return Unavailable(503, "overloaded", "Full", "Full", retry_after_s=retry_after_s)


def test_waits_double_up_to_the_longest_and_half_of_each_is_chance() -> None:
    rules = Retries(most=6, most_s=1000, first_s=1, longest_s=8)
    assert waits(rules, full(), most=True) == ([1, 2, 4, 8, 8, 8], True)
    assert waits(rules, full(), most=False) == ([0.5, 1, 2, 4, 4, 4], True)


def test_what_the_service_asks_for_is_waited_and_some() -> None:
    rules = Retries(most=3, most_s=1000, first_s=1, longest_s=8)
    assert waits(rules, full(5.0), most=False) == ([5, 5, 5], True)
    assert waits(rules, full(5.0), most=True) == ([6, 7, 9], True)


def test_it_ends_in_time_and_not_after_a_wait_that_would_be_too_long() -> None:
    assert waits(Retries(most=99, most_s=10, first_s=3, longest_s=3), full(), most=True) == (
        [3, 3, 3],
        True,
    )
    assert waits(Retries(most=99, most_s=10), full(3600.0), most=False) == ([], True)


def test_the_default_ends_within_two_minutes() -> None:
    found, ended = waits(Retries(), full(), most=True)
    assert ended
    assert len(found) == 8
    assert sum(found) < 120


def test_what_will_not_pass_is_not_tried_again() -> None:
    for error in (FilmRefused(422, "image_truncated", "", ""), TimedOut("slow")):
        assert waits(Retries(), error, most=True) == ([], True)


READY = httpx.Response(200, json={"name": "neumo-r18-3"})


@pytest.mark.parametrize(
    "passing",
    [httpx.Response(429), httpx.Response(502), httpx.Response(503), httpx.Response(504),
     httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.RemoteProtocolError("gone")],
)  # fmt: skip
def test_what_may_pass_is_tried_again(passing: httpx.Response | Exception) -> None:
    with client_of(passing, passing, passing, READY) as client:
        assert client.model() == {"name": "neumo-r18-3"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 500])
def test_what_will_not_is_told_at_once(status: int) -> None:
    with client_of(httpx.Response(status)) as client, pytest.raises(Problem) as caught:
        client.model()
    assert caught.value.status == status


def test_the_last_failure_is_told_once_the_attempts_are_used_up() -> None:
    full, lost = httpx.Response(503), httpx.ReadError("reset")
    with client_of(full, full, full, lost) as client, pytest.raises(ConnectionLost):
        client.model()


def test_the_film_is_sent_whole_again_under_the_same_id() -> None:
    sent: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        content = request.read()
        sent.append((request.headers["X-Request-ID"], content))
        return httpx.Response(503 if len(sent) < 3 else 422)

    with client_by(answer) as client, pytest.raises(FilmRefused):
        client.predict(b"\xff\xd8 the film", age_years=61.5, view="PA")
    ids = {each for each, _ in sent}
    assert (len(sent), len(ids)) == (3, 1)
    for _, content in sent:
        boundary = content.partition(b"\r\n")[0]
        assert content.endswith(boundary + b"--\r\n")
        assert content.count(b"\xff\xd8 the film") == 1
        assert content.count(b"61.5") == content.count(b"PA\r\n") == 1


def test_a_file_that_was_opened_is_sent_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(b"header and film")
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(503 if len(bodies) == 1 else 422)

    with client_by(answer) as client, path.open("rb") as file:
        file.seek(len("header and "))
        with pytest.raises(FilmRefused):
            client.predict(file)
    assert [b"\r\n\r\nfilm\r\n" in body for body in bodies] == [True, True]


def test_retries_are_logged_without_the_film_its_name_or_its_patient(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "DOE^JOHN.dcm"
    path.write_bytes(b"SECRETFILM")
    caplog.set_level(logging.DEBUG)
    with client_of(httpx.Response(503), httpx.Response(422)) as client:
        (result,) = client.predict_many([path], age_years=77.125, view="lateral", heatmap=True)
    assert isinstance(result, FilmRefused)
    assert "attempt 1 failed" in caplog.text
    assert "heatmap=true" in caplog.text  # httpx logs addresses
    for secret in ("DOE", "SECRETFILM", "77.125", "lateral", str(b"SECRETFILM".hex())):
        assert secret not in caplog.text


def test_a_key_is_sent_and_never_shown() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return READY

    transport = httpx.MockTransport(answer)
    with Client("http://neumo.test", api_key="k3y", transport=transport) as client:
        client.model()
        assert "k3y" not in repr(client)
    assert seen == ["Bearer k3y"]
    for key in ("", "two words", "línea", "a\nb"):
        with pytest.raises(ValueError, match="api_key is no key") as caught:
            Client(api_key=key)
        assert key == "" or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "neumo.test", "ftp://neumo.test", "http://", "http://a/?b=1"])
def test_what_is_no_address_is_told_when_the_client_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client(url)


@pytest.mark.parametrize("url", ["http://neumo.test/below/it", "http://neumo.test/below/it/"])
def test_an_address_may_have_a_path_before_each_call(url: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return READY

    with Client(url, transport=httpx.MockTransport(answer)) as client:
        client.model()
    assert asked == ["/below/it/model"]
