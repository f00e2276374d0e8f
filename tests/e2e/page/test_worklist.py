"""Many films: progress, cancelling, trying again as the service asks, keys, results to take."""

import csv
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from app.access.key import Key
from app.access.key_file import change_keys
from tests.e2e.page.conftest import NewPage, film, give, upside_down, watched
from tests.server import Server, running

HELD_BYTES = 300_000
"""Of bodies: the service of this module holds one film of examples/, and not two."""


@pytest.fixture
def batch(examples: dict[str, Path]) -> list[FilePayload]:
    """20 films; one of them is upside down."""
    paths = list(examples.values())
    films = [film(paths[index % 4], f"film-{index:02}.jpg") for index in range(19)]
    return [*films, upside_down(examples["normal"])]


def test_twenty_films_are_read_and_each_is_told(page: Page, batch: list[FilePayload]) -> None:
    give(page, *batch)
    expect(page.locator("#rows > li")).to_have_count(20)
    expect(page.locator("#tally")).to_have_text("done: 20 of 20, uncertain: 9, refused: 1")
    expect(page.locator("#progress")).to_have_attribute("value", "20")
    expect(page.locator("#announcer")).to_contain_text("All films done.")
    rows = page.locator("#rows > li").all_inner_texts()
    assert "COVID-19 99.6%" in rows[1]
    assert "Uncertain" in rows[0]
    assert "Not a frontal chest X-ray" in rows[19]
    page.locator("#rows .row").nth(19).click()
    expect(page.locator(".verdict.refused")).to_be_visible()
    page.locator("#rows .row").nth(1).click()
    expect(page.locator(".verdict.ok")).to_contain_text("COVID-19")


def test_no_more_than_three_films_are_sent_at_once(page: Page, batch: list[FilePayload]) -> None:
    held: list[Route] = []
    on_the_way: list[int] = []

    def hold(route: Route) -> None:
        held.append(route)
        on_the_way.append(len(held))

    page.route("**/predict*", hold)
    give(page, *batch)
    for _ in batch:
        expect(page.locator("#rows .reading").first).to_be_visible()
        while not held:
            page.wait_for_timeout(20)
        held.pop(0).continue_()
    expect(page.locator("#tally")).to_contain_text("done: 20 of 20")
    assert max(on_the_way) == 3


def test_what_is_cancelled_is_not_read_until_it_is_asked_for_again(
    page: Page, batch: list[FilePayload]
) -> None:
    page.route("**/predict*", lambda _: None)  # never answered
    give(page, *batch[:6])
    expect(page.locator("#rows .reading")).to_have_count(3)
    page.get_by_role("button", name="Cancel film-05.jpg").click()
    expect(page.locator("#rows > li").nth(5)).to_contain_text("Cancelled")
    with page.expect_event("requestfailed"):  # what is on its way is given up
        page.locator("#verdict").get_by_role("button", name="Cancel").click()
    expect(page.locator("#verdict")).to_contain_text("Cancelled")
    page.click("#cancel-all")
    expect(page.locator("#rows .cancelled")).to_have_count(6)
    expect(page.locator("#bars")).to_be_hidden()
    page.unroute("**/predict*")
    page.click("#retry-all")
    expect(page.locator("#tally")).to_contain_text("done: 6 of 6, uncertain: 3")


def test_a_film_is_removed_and_all_are_cleared(page: Page, batch: list[FilePayload]) -> None:
    give(page, *batch[:3])
    expect(page.locator("#tally")).to_contain_text("done: 3 of 3")
    page.get_by_role("button", name="Remove film-00.jpg").click()
    expect(page.locator("#rows > li")).to_have_count(2)
    expect(page.locator("#corner-name")).to_contain_text("film-01.jpg")
    page.click("#clear")
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#choose")).to_be_focused()
    assert "film-0" not in page.content()


def test_a_fault_of_the_service_is_told_and_the_film_can_be_read_again(
    page: Page, examples: dict[str, Path]
) -> None:
    page.route("**/predict*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    give(page, examples["covid19"])
    failed = page.locator(".verdict.failed")
    expect(failed).to_contain_text("The call was answered with status 502")
    expect(failed).to_contain_text("Nothing is said of this film.")
    expect(page.locator("#bars")).to_be_hidden()
    page.unroute("**/predict*")
    failed.get_by_role("button", name="Read again").click()
    expect(page.locator(".verdict.ok")).to_contain_text("COVID-19")


def test_a_service_that_cannot_be_reached_is_tried_again(
    page: Page, examples: dict[str, Path]
) -> None:
    tries = 0

    def fail_first(route: Route) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            route.abort("connectionrefused")
        else:
            route.continue_()

    page.route("**/predict*", fail_first)
    give(page, examples["covid19"])
    expect(page.locator("#pause")).to_contain_text("The service can't be reached")
    expect(page.locator(".verdict.ok")).to_be_visible()
    expect(page.locator("#pause")).to_be_hidden()
    assert tries == 2


# ---------------------------------------------------------------- overload


@pytest.fixture(scope="module")
def small_service() -> Iterator[Server]:
    with running("--max-held-bytes", str(HELD_BYTES)) as server:
        yield server


@pytest.fixture
def open_small(chromium: Browser, small_service: Server) -> Iterator[NewPage]:
    with watched(chromium) as open_at:
        yield lambda **context: open_at(small_service.url, **context)


@contextmanager
def holding(server: Server, count: int) -> Iterator[None]:
    """Make the service hold bytes for another caller, whose body does not come to its end."""
    with socket.create_connection(("127.0.0.1", server.port)) as other:
        head = f"POST /predict HTTP/1.1\r\nHost: neumo\r\nContent-Length: {count + 1}\r\n\r\n"
        other.sendall(head.encode() + bytes(count))
        time.sleep(0.2)  # it has come
        yield


def test_an_overloaded_service_is_asked_again_when_it_says(
    open_small: NewPage, small_service: Server, examples: dict[str, Path]
) -> None:
    page = open_small()
    with holding(small_service, HELD_BYTES - 1000):
        with page.expect_response(re.compile("predict")) as answer:
            give(page, examples["covid19"])
        assert answer.value.status == 503
        assert answer.value.headers["retry-after"] == "1"
        expect(page.locator("#pause")).to_contain_text("Overloaded. Trying again in")
        expect(page.locator("#verdict")).to_contain_text("Waiting for its turn")
        expect(page.locator("#bars")).to_be_hidden()
    expect(page.locator(".verdict.ok")).to_contain_text("COVID-19")
    expect(page.locator("#pause")).to_be_hidden()


def test_a_batch_that_is_too_much_at_once_is_read_all_the_same(
    open_small: NewPage, batch: list[FilePayload]
) -> None:
    page = open_small()
    give(page, *batch[:8])
    expect(page.locator("#tally")).to_have_text("done: 8 of 8, uncertain: 4", timeout=40_000)


def test_every_wait_that_is_asked_for_is_counted_down(
    page: Page, examples: dict[str, Path]
) -> None:
    answered = iter(
        [(429, {"Retry-After": "1"}), (504, {}), (503, {"Retry-After": "1"}), (200, {})]
    )

    def answer(route: Route) -> None:
        status, headers = next(answered)
        problem = {"title": f"Busy {status}", "detail": "", "code": "busy", "status": status}
        if status == 200:
            route.continue_()
        else:
            route.fulfill(status=status, headers=headers, body=json.dumps(problem))

    page.route("**/predict*", answer)
    give(page, examples["covid19"])
    for status in (429, 504, 503):
        expect(page.locator("#pause")).to_contain_text(f"Busy {status}. Trying again in")
    expect(page.locator(".verdict.ok")).to_be_visible()


# ---------------------------------------------------------------- a key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file of two keys, and the keys: one may read films, the other metrics only."""
    path, secrets = tmp_path_factory.mktemp("keys") / "keys", {}
    for scope in ("predict", "metrics"):
        key, secrets[scope] = Key.create(scope, frozenset((scope,)), datetime.now(UTC))
        change_keys(path, lambda others, key=key: [*others, key])
    return path, secrets


@pytest.fixture(scope="module")
def keyed_service(keys: tuple[Path, dict[str, str]]) -> Iterator[Server]:
    with running("--keys-file", str(keys[0])) as server:
        yield server


@pytest.fixture
def open_keyed(chromium: Browser, keyed_service: Server) -> Iterator[NewPage]:
    with watched(chromium) as open_at:
        yield lambda **context: open_at(keyed_service.url, **context)


def test_a_key_is_asked_for_once_and_brought_from_then_on(
    open_keyed: NewPage, keys: tuple[Path, dict[str, str]], batch: list[FilePayload]
) -> None:
    page = open_keyed()
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    expect(page.locator("#key")).to_be_focused()  # for the model's card
    for shown, said in (
        ("neumo_wrong", "The key is not one of this service's."),
        (keys[1]["metrics"], "needs the scope 'predict'"),
    ):
        page.fill("#key", shown)
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text(said)
    page.fill("#key", keys[1]["predict"])
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#model-name")).to_contain_text("neumo-r18-3")
    give(page, *batch[:6])
    expect(page.locator("#tally")).to_contain_text("done: 6 of 6, uncertain: 3")
    expect(page.locator("#corner-map")).to_contain_text("Map: Bacterial pneumonia")
    assert page.locator("#key").input_value() == ""
    assert keys[1]["predict"] not in page.content()
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


def test_who_gives_no_key_is_told_so_and_asked_again_with_the_next_film(
    open_keyed: NewPage, batch: list[FilePayload]
) -> None:
    page = open_keyed()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    give(page, *batch[:5])
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#tally")).to_have_text("done: 5 of 5, failed: 5")
    expect(dialog).to_be_hidden()
    expect(page.locator(".verdict.failed")).to_contain_text("This call needs a key.")
    expect(page.locator("#bars")).to_be_hidden()
    page.locator("#verdict").get_by_role("button", name="Read again").click()
    expect(dialog).to_be_visible()


# ---------------------------------------------------------------- results to take away


def taken(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text(encoding="utf-8-sig")


def test_results_are_taken_away_as_csv_and_json(page: Page, batch: list[FilePayload]) -> None:
    give(page, batch[1], {**batch[0], "name": '=SUM(1,"2").jpg'}, batch[19])
    expect(page.locator("#tally")).to_contain_text("done: 3 of 3")
    covid, doubt, turned = csv.DictReader(io.StringIO(taken(page, "#export-csv")))
    assert (covid["film"], covid["outcome"], covid["label"]) == ("film-01.jpg", "ok", "covid19")
    assert float(covid["covid19"]) == pytest.approx(0.9959, abs=1e-3)
    assert covid["model"] == "neumo-r18-3"
    assert covid["notice"].startswith("Not a medical device.")
    assert doubt["film"] == '\'=SUM(1,"2").jpg'  # no formula
    assert doubt["outcome"] == "uncertain"
    assert doubt["reasons"] == "pneumonia_kind_unknown"
    assert (turned["outcome"], turned["problem"]) == ("refused", "not_a_chest_xray")
    assert turned["problem_reason"] == "upside_down"
    assert (turned["label"], turned["normal"]) == ("", "")

    results = json.loads(taken(page, "#export-json"))["results"]
    assert [each["outcome"] for each in results] == ["ok", "uncertain", "refused"]
    assert results[0]["reading"]["probabilities"]["covid19"] == pytest.approx(0.9959, abs=1e-3)
    assert "reading" not in results[2]
