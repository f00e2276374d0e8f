"""Pages of other origins in a real browser: what they may not do isn't done, what they may is seen.

The names `viewer.test` and others lead to this machine in the browser alone. Over plain HTTP a
browser does not tell a service by such a name what the page is to it (`Sec-Fetch-Site`), but it
does to 127.0.0.1: both ways are asked.
"""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser import CHROMIUM
from tests.conftest import ROOT
from tests.contract.test_health import value_of
from tests.e2e.test_root_path import NGINX, wait_for
from tests.server import Server, free_port, multipart, running

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt install chromium)"
)

# What a viewer's programmer would write.
SEND = """
async ([address, bytes]) => {
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(bytes)]), "film");
    try {
        const answer = await fetch(address, {method: "POST", body: form, headers: HEADERS});
        return {
            status: answer.status,
            label: (await answer.json()).label,
            retry: answer.headers.get("Retry-After"),
            id: answer.headers.get("X-Request-ID"),
        };
    } catch (failure) {
        return {failed: failure.message};
    }
}
"""
# What a stranger's page would do: a form needs nobody's leave to be sent.
FORM = """
<form method="post" enctype="multipart/form-data" action="{address}">
<input type="file" name="file"><button>Send</button></form>
"""


class _Pages(http.server.BaseHTTPRequestHandler):
    """A web site with an empty page."""

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>viewer</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of a web site, of whatever name."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield pages.server_port
        pages.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(site: int) -> Iterator[Server]:
    """A service that one of the names may call."""
    with running("--cors-origins", f"http://viewer.test:{site}") as server:
        yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A tab of a real browser."""
    rules = "--host-resolver-rules=MAP *.test 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])
        yield browser.new_page()
        browser.close()


def send(page: Page, address: str, image: bytes, headers: str = "{}") -> dict[str, Any]:
    """Send a film from the page that is open."""
    answer: dict[str, Any] = page.evaluate(SEND.replace("HEADERS", headers), [address, list(image)])
    return answer


def readings(server: Server) -> float:
    text = server.call("GET", "/metrics")[2].decode()
    return sum(
        float(line.split()[-1]) for line in text.splitlines() if line.startswith("neumo_readings_")
    )


def refusals(server: Server) -> float:
    text = server.call("GET", "/metrics")[2].decode()
    return value_of(text, 'neumo_refusals_total{code="origin_not_allowed"}')


@needs_browser
@pytest.mark.parametrize("host", ["neumo.test", "127.0.0.1"])
def test_a_page_that_is_allowed_reads_a_film_with_and_without_a_key(
    page: Page,
    site: int,
    service: Server,
    jpeg: bytes,
    host: str,
) -> None:
    page.goto(f"http://viewer.test:{site}/")
    for headers in ("{}", "{Authorization: 'Bearer key', 'X-API-Key': 'key'}"):
        answer = send(page, f"http://{host}:{service.port}/predict", jpeg, headers)
        assert (answer["status"], answer["label"]) == (200, "normal")
        assert len(answer["id"]) == 26


@needs_browser
@pytest.mark.parametrize("host", ["neumo.test", "127.0.0.1"])
@pytest.mark.parametrize("other", ["other.test", "localhost"])
def test_what_any_other_page_sends_is_not_read(
    page: Page,
    site: int,
    service: Server,
    jpeg: bytes,
    other: str,
    host: str,
) -> None:
    page.goto(f"http://{other}:{site}/")
    before, refused = readings(service), refusals(service)
    answer = send(page, f"http://{host}:{service.port}/predict", jpeg)
    assert answer == {"failed": "Failed to fetch"}
    assert (readings(service), refusals(service)) == (before, refused + 1)


@needs_browser
@pytest.mark.parametrize("host", ["neumo.test", "127.0.0.1"])
def test_a_form_of_another_page_is_not_read_either(
    page: Page,
    site: int,
    service: Server,
    examples: dict[str, Path],
    host: str,
) -> None:
    page.goto(f"http://other.test:{site}/")
    before = readings(service)
    page.set_content(FORM.format(address=f"http://{host}:{service.port}/predict"))
    page.set_input_files("input", examples["normal"])
    with page.expect_navigation() as navigation:
        page.click("button")
    assert navigation.value.status == 403
    assert navigation.value.json()["code"] == "origin_not_allowed"
    assert readings(service) == before


@needs_browser
@pytest.mark.parametrize("host", ["neumo.test", "127.0.0.1", "localhost"])
def test_a_page_of_the_services_own_is_answered_by_whatever_name_it_was_opened(
    page: Page,
    service: Server,
    jpeg: bytes,
    host: str,
) -> None:
    page.goto(f"http://{host}:{service.port}/docs")
    assert send(page, "/predict", jpeg)["label"] == "normal"


@needs_browser
@pytest.mark.skipif(NGINX is None, reason="nginx (Debian: nginx-light) is not installed")
def test_a_page_of_the_services_own_is_answered_behind_the_nginx_that_we_describe(
    page: Page, service: Server, jpeg: bytes, tmp_path: Path
) -> None:
    # Over plain HTTP, by a name: the browser tells Origin alone, and nginx has to tell the Host.
    port = free_port()
    site = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for given, used in (("8080", port), ("8001", service.port), ("8002", service.port)):
        site = site.replace(f"127.0.0.1:{given}", f"127.0.0.1:{used}")
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {tmp_path}/pid;\nerror_log stderr crit;\nevents {{}}\n"
        f"http {{\n{folders}{site}}}\n"
    )
    process = subprocess.Popen([NGINX, "-e", "stderr", "-p", str(tmp_path), "-c", str(config)])
    try:
        wait_for(Server(process, port, service.log))
        page.goto(f"http://neumo.test:{port}/docs")
        assert send(page, "/predict", jpeg)["label"] == "normal"
        assert send(page, f"http://127.0.0.1:{port}/predict", jpeg) == {"failed": "Failed to fetch"}
    finally:
        process.terminate()
        process.wait(20)


def test_it_is_refused_before_its_body_has_come(service: Server) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: neumo\r\nOrigin: https://evil.test\r\n"
            b"Content-Length: 30000000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


def test_a_page_that_is_allowed_sees_when_to_come_back_to_a_service_that_is_full(
    jpeg: bytes,
) -> None:
    viewer = "https://viewer.example.org"
    body, headers = multipart(("file", "film", jpeg))
    with (
        running("--cors-origins", viewer, "--deadline-s", "0.05", "--threads", "1") as full,
        ThreadPoolExecutor(16) as pool,
    ):
        calls = [
            pool.submit(full.call, "POST", "/predict", body, headers | {"Origin": viewer})
            for _ in range(200)
        ]
        answers = [call.result() for call in calls]
    turned_away = [given for status, given, _ in answers if status == 503]
    assert len(turned_away) > 20
    for given in turned_away:
        assert given["access-control-allow-origin"] == viewer
        assert "Retry-After" in given["access-control-expose-headers"]
        assert int(given["retry-after"]) >= 1
    # Most in front of the application, which writes the one header that both names stand in.
    assert {given["vary"] for given in turned_away} >= {"Accept-Language, Origin"}
