"""docs/integrate.md: its commands and programs, run as they stand against a real service.

In between stands a relay that does what services do to integrators: it answers the first attempt of
each call 503 with Retry-After, and hangs up on the second without a word.
"""

import contextlib
import http.server
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from app.errors import RequestError
from app.main import create_app
from app.settings.settings import Settings
from tests.browser import CHROMIUM
from tests.conftest import ROOT
from tests.server import Server, running

PAGE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?P<mark><!-- not run: [^\n]+ -->\n)?```(?P<language>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n"
    r"(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BLOCKS = list(BLOCK.finditer(PAGE))
PROGRAMS = {block["file"]: block["code"] for block in BLOCKS if block["file"]}
CURLS = [
    line
    for block in BLOCKS
    if block["language"] == "sh" and not block["mark"]
    for line in block["code"].splitlines()
]
RUNS = {
    "one_film.py": [sys.executable],
    "plain.py": [sys.executable],
    "one_film.mjs": ["node"],
    "OneFilm.java": ["java"],
}
DRAWING = ("one_film.py", "one_film.mjs", "OneFilm.java")
SENDING_BATCHES = ("one_film.py", "one_film.mjs")


@dataclass
class Relay:
    """A service in front of the service: a bad day for whoever calls it."""

    url: str
    calls: dict[str, int] = field(default_factory=dict)
    keys: set[str | None] = field(default_factory=set)
    names: set[bytes] = field(default_factory=set)


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    """A relay that has seen no call yet."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if "Content-Length" in self.headers:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            else:
                body = b"".join(self._chunks())
            self.server_relay.keys.add(self.headers["Authorization"])
            self.server_relay.names |= set(re.findall(rb'filename="?([^"\r\n;]+)', body))
            path = self.path.partition("?")[0]
            calls = self.server_relay.calls
            calls[path] = calls.get(path, 0) + 1
            if calls[path] == 1:
                self._answer(503, b"<html>busy</html>", {"Retry-After": "1"})
            elif calls[path] == 2:
                self.close_connection = True
            else:
                kept = {"Content-Type": self.headers["Content-Type"]}
                status, headers, answer = server.call("POST", self.path, body, kept)
                self._answer(status, answer, {"Content-Type": headers["content-type"]})

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        Handler.server_relay = relay = Relay(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield relay
        httpd.shutdown()
        thread.join()


def run(name: str, relay: Relay, film: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the page in a folder that holds all of them."""
    command = RUNS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    for file, code in PROGRAMS.items():
        (folder / file).write_text(code, encoding="utf-8")
    return subprocess.run(
        [*command, name, str(film)],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "NEUMO_URL": relay.url,
            "NEUMO_KEY": "KEY",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_page_holds_what_is_run_here() -> None:
    languages = [block["language"] for block in BLOCKS if block["file"]]
    assert languages == ["python"] * 2 + ["javascript"] * 3 + ["csharp", "java"]
    assert set(PROGRAMS) - set(RUNS) == {"neumo.mjs", "page.mjs", "OneFilm.cs"}
    assert len(CURLS) == 5
    assert "This block alone is not compiled by the tests." in PAGE.partition("```csharp")[0]


@pytest.mark.parametrize("name", RUNS)
def test_a_program_comes_to_its_answer_though_the_service_is_full_and_hangs_up(
    relay: Relay, tmp_path: Path, name: str
) -> None:
    done = run(name, relay, ROOT / "examples" / "normal.dcm", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("normal")
    assert relay.calls["/predict"] == 3
    assert relay.keys == {"Bearer KEY"}
    assert relay.names == {b"film"}
    if name in DRAWING:
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    if name in SENDING_BATCHES:
        assert done.stdout.splitlines()[1:] == ["normal", "unsupported_media_type"]


@pytest.mark.parametrize("name", RUNS)
def test_a_program_says_by_its_code_why_a_film_has_no_reading(
    relay: Relay, tmp_path: Path, name: str
) -> None:
    film = tmp_path / "text"
    film.write_text("no film")
    done = run(name, relay, film, tmp_path)
    assert "unsupported_media_type" in done.stdout + done.stderr
    assert done.returncode == (0 if name == "plain.py" else 1)
    assert relay.calls == {"/predict": 3}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("index", range(len(CURLS)))
def test_each_curl_is_answered(server: Server, tmp_path: Path, index: int) -> None:
    command = CURLS[index].replace("http://127.0.0.1:8000", server.url)
    command = command.replace("curl ", "curl --silent --show-error ", 1)
    if "--fail-with-body" not in command:
        command = command.replace("curl ", "curl --fail ", 1)
    command = command.replace("map.png", shlex.quote(str(tmp_path / "map.png")))
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "map.png" in command:
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    else:
        answer = json.loads(done.stdout)
        assert len(answer.get("results", [answer])) == (2 if "batch" in command else 1)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
def test_the_page_for_browsers_reads_a_film_from_another_origin(
    examples: dict[str, Path], tmp_path: Path
) -> None:
    for file in ("neumo.mjs", "page.mjs"):
        (tmp_path / file).write_text(PROGRAMS[file], encoding="utf-8")
    (tmp_path / "index.html").write_text(
        '<!doctype html><input type="file"><output></output>'
        '<script type="module" src="page.mjs"></script>'
    )

    class Files(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".mjs": "text/javascript", ".html": "text/html"}  # noqa: RUF012

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        viewer = f"http://localhost:{site.server_port}"
        with running("--cors-origins", viewer) as service, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"{viewer}/index.html?neumo={service.url}")
            page.set_input_files("input", examples["normal"])
            page.wait_for_function("document.querySelector('output').textContent")
            assert page.text_content("output") == "Normal"
            assert "Not a medical device" in (page.get_attribute("output", "title") or "")
            page.set_input_files("input", ROOT / "README.md")
            page.wait_for_function("document.querySelector('output').textContent != 'Normal'")
            assert "neither JPEG nor PNG nor a DICOM" in (page.text_content("output") or "")
            browser.close()
        site.shutdown()
        thread.join()


def test_every_code_that_the_page_names_is_one_of_neumos() -> None:
    table = PAGE.partition("## When there is no answer")[2].partition("## ")[0]
    codes = {error.code for error in RequestError.__subclasses__()}
    reasons = {"inverted", "upside_down", "sideways", "code", "detail", "reason", "request_id"}
    named = set(re.findall(r"`([a-z_]+)`", table))
    assert {"not_a_chest_xray", "unauthenticated", "internal_error"} <= named
    assert named - codes <= reasons
    statuses = set(re.findall(r"\b[45]\d\d\b", table))
    answers = create_app(Settings()).openapi()["paths"]["/predict"]["post"]["responses"]
    assert set(answers) - statuses == {"200", "408"}
