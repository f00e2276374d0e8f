"""The OpenAPI page in a real browser: it works, and asks no other host for anything."""

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
def test_the_page_shows_the_calls_without_outside_requests(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    result = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-quic", f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
            "--virtual-time-budget=10000", "--dump-dom", f"{server.url}/docs",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    dom = result.stdout
    assert 'id="operations-predict-predict"' in dom
    assert "Read one chest X-ray" in dom

    net = json.loads(log.read_text())
    started = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    page = net["constants"]["logSourceType"]["URL_REQUEST"]
    urls = {
        event["params"]["url"]
        for event in net["events"]
        if event["type"] == started
        and event["source"]["type"] == page
        and event.get("params", {}).get("initiator", "").startswith("http")
    }
    assert any(url.endswith("/openapi.json") for url in urls)
    assert {urlsplit(url).hostname for url in urls if url.startswith("http")} == {"127.0.0.1"}
