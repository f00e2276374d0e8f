"""The button "Try it out" of the OpenAPI page, pressed: nothing is said that nobody said."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Browser, browsing
from tests.server import Server

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt install chromium)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running Chromium."""
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def try_out(browser: Browser, server: Server, operation: str) -> str:
    """Open a call's panel, ready to be filled in; return how CSS finds it."""
    panel = f"#operations-predict-{operation}"
    browser.open("about:blank")
    browser.open(f"{server.url}/docs")
    browser.click(f"{panel} .opblock-summary-control")
    browser.click(f"{panel} .try-out__btn")
    browser.wait_for(f"document.querySelector('{panel} .execute') !== null")
    return panel


def execute(browser: Browser, panel: str) -> tuple[str, int]:
    """Press "Execute"; return the call that was made, as curl has it, and its status."""
    browser.click(f"{panel} .execute")
    live = f"{panel} .live-responses-table tbody .response-col_status"
    status = browser.wait_for(f"document.querySelector('{live}')?.textContent")
    curl = browser.evaluate(f"document.querySelector('{panel} .curl').textContent")
    return curl, int(status[:3])


def answer_in(browser: Browser, panel: str) -> dict[str, Any]:
    """Return the JSON that the page shows as the answer."""
    shown = f"{panel} .live-responses-table .highlight-code code"
    text = browser.wait_for(f"document.querySelector('{shown}')?.textContent")
    answer: dict[str, Any] = json.loads(text)
    return answer


def said_in(curl: str) -> set[str]:
    """Return what a call says of the patient: the values of its fields and parameters."""
    return set(re.findall(r"(?:age_years|view)=([^'&]*)", curl))


def test_a_file_alone_says_nothing_of_the_patient(
    browser: Browser, server: Server, examples: dict[str, Path]
) -> None:
    panel = try_out(browser, server, "predict")
    browser.choose_file(f"{panel} input[type=file]", examples["covid19"])
    curl, status = execute(browser, panel)
    answer = answer_in(browser, panel)
    assert (status, answer["label"]) == (200, "covid19")
    assert [warning["code"] for warning in answer["warnings"]] == [
        "population_unknown",
        "site_not_validated",
    ]
    assert "file=@" in curl
    assert said_in(curl) <= {""}


def test_an_age_is_sent_once_it_was_typed(
    browser: Browser, server: Server, examples: dict[str, Path]
) -> None:
    panel = try_out(browser, server, "predict")
    form = f"{panel} .opblock-section-request-body"
    browser.choose_file(f"{form} input[type=file]", examples["covid19"])
    browser.type(f'{form} input[placeholder="age_years"]', "061Y")
    # The page takes what was typed after a moment, and then offers no more to send it empty.
    browser.wait_for(f"document.querySelector('{form} input[type=checkbox]').disabled")
    curl, _ = execute(browser, panel)
    assert said_in(curl) == {"061Y", ""}
    warnings = answer_in(browser, panel)["warnings"]
    assert [warning["code"] for warning in warnings] == ["site_not_validated"]


def test_the_files_of_a_batch_alone_say_nothing_of_a_patient(
    browser: Browser, server: Server, examples: dict[str, Path]
) -> None:
    panel = try_out(browser, server, "predict_batch")
    browser.click(f"{panel} .json-schema-form-item-add")
    browser.choose_file(f"{panel} input[type=file]", examples["covid19"])
    curl, status = execute(browser, panel)
    (reading,) = answer_in(browser, panel)["results"]
    assert (status, reading["label"]) == (200, "covid19")
    assert [warning["code"] for warning in reading["warnings"]] == [
        "population_unknown",
        "site_not_validated",
    ]
    assert said_in(curl) <= {""}


def test_a_picture_is_explained_without_anything_said_of_the_patient(
    browser: Browser, server: Server, examples: dict[str, Path]
) -> None:
    panel = try_out(browser, server, "explain")
    browser.choose_file(f"{panel} input[type=file]", examples["covid19"])
    curl, status = execute(browser, panel)
    assert status == 200
    assert browser.wait_for(f"document.querySelector('{panel} .response-col_description img')?.src")
    assert said_in(curl) <= {""}
