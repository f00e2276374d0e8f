"""The page in real Chromium, on a real service. Whatever a test does, the page asks no other host,
breaks no rule of its Content-Security-Policy and throws nothing."""

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from tests.server import Server, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EXPECTED_NOISE = "Failed to load resource"
"""What Chromium itself writes of every answer that is a refusal."""

NewPage = Callable[..., Page]

expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip("chromium is not installed"))


@pytest.fixture(scope="module")
def service() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser) -> Iterator[NewPage]:
    """Open pages, each in a context of its own; on leaving say what they should not have done."""
    faults: list[str] = []
    contexts = []

    def open_page(url: str, **context: Any) -> Page:  # noqa: ANN401 - Playwright's options
        host = urlsplit(url).netloc
        options = {"viewport": {"width": 1440, "height": 900}, "locale": "en", **context}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()

        def see_message(kind: str, text: str) -> None:
            if kind in ("error", "warning") and not text.startswith(EXPECTED_NOISE):
                faults.append(text)

        def see_request(asked: str) -> None:
            if urlsplit(asked).scheme not in ("blob", "data") and urlsplit(asked).netloc != host:
                faults.append(f"asked for {asked}")

        page.on("console", lambda message: see_message(message.type, message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: see_request(request.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def open_page(chromium: Browser, service: Server) -> Iterator[NewPage]:
    """Open the page of the service; options are those of a Playwright context."""
    with watched(chromium) as open_at:
        yield lambda query="", **context: open_at(f"{service.url}/{query}", **context)


@pytest.fixture
def page(open_page: NewPage) -> Page:
    return open_page()


def film(path: Path, name: str | None = None) -> FilePayload:
    """Return a file to choose, perhaps under another name."""
    return {"name": name or path.name, "mimeType": "", "buffer": path.read_bytes()}


def give(page: Page, *files: Path | FilePayload) -> None:
    """Choose files."""
    payloads = [film(each) if isinstance(each, Path) else each for each in files]
    page.set_input_files("#files", payloads)


def upside_down(path: Path) -> FilePayload:
    file = io.BytesIO()
    Image.open(path).rotate(180).save(file, "JPEG", quality=90)
    return {"name": "turned.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


def pixels(page: Page, pane: str) -> NDArray[np.int64]:
    """Return what a pane's canvas shows, RGB, once all has been painted."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    address: str = page.evaluate(
        "(pane) => document.querySelector(`${pane} canvas`).toDataURL()", pane
    )
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
