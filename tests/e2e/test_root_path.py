"""Behind a proxy's path prefix: nginx that strips it, and nginx that doesn't."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, browsing
from tests.contract.test_health import value_of
from tests.server import Server, free_port, running

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PREFIX = "/neumo"
# In nginx, a path behind the address (here "/") takes the place of the location's own.
WAYS = {"stripped": "/", "kept": ""}
SITE = """
daemon off;
pid {folder}/pid;
error_log stderr crit;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_max_body_size 32m;
    client_body_buffer_size 32m;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{ proxy_pass http://127.0.0.1:{service}{behind}; }}
    }}
}}
"""

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx (Debian: nginx-light) is not installed"
)


@pytest.fixture(scope="module")
def service() -> Iterator[Server]:
    """A service that is told of its prefix."""
    with running("--root-path", PREFIX) as server:
        yield server


@pytest.fixture(params=WAYS)
def proxy(request: pytest.FixtureRequest, service: Server, tmp_path: Path) -> Iterator[Server]:
    """nginx in front of it; the paths that it answers begin with the prefix."""
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        SITE.format(
            folder=tmp_path,
            port=port,
            prefix=PREFIX,
            service=service.port,
            behind=WAYS[request.param],
        )
    )
    command = [str(NGINX), "-e", "stderr", "-p", str(tmp_path), "-c", str(config)]
    process = subprocess.Popen(command)
    try:
        proxy = Server(process, port, service.log)
        wait_for(proxy)
        yield proxy
    finally:
        process.terminate()
        process.wait(20)


def wait_for(proxy: Server) -> None:
    """Return once nginx answers."""
    for _ in range(500):
        try:
            proxy.call("GET", "/")
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nginx did not start")


def test_the_page_and_all_it_asks_for_come_from_below_the_prefix(proxy: Server) -> None:
    status, _, page = proxy.call("GET", f"{PREFIX}/docs")
    assert status == 200
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.decode())
    addresses = [one or other for one, other in addresses]
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith(f"{PREFIX}/")
        assert proxy.call("GET", address)[0] == 200, address


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
def test_the_page_for_people_reads_a_film_below_the_prefix(
    proxy: Server, tmp_path: Path, examples: dict[str, Path]
) -> None:
    with browsing(tmp_path / "profile") as browser:
        browser.open(f"{proxy.url}{PREFIX}/")
        browser.wait_for("document.querySelector('#start-title')?.textContent")
        browser.choose_file("#files", examples["covid19"])
        said = "document.querySelector('.verdict.ok')?.textContent"
        assert "COVID-19" in browser.wait_for(said)
        # The map too, and the model's card.
        browser.wait_for("!document.querySelector('#map-pane').hidden")
        browser.wait_for(
            "document.querySelector('#model-name').textContent.includes('neumo-r18-3')"
        )
        addresses = browser.evaluate(
            "performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname)"
        )
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith(f"{PREFIX}/")] == []


def test_what_openapi_names_as_the_server_is_where_calls_are_answered(
    proxy: Server, jpeg: bytes
) -> None:
    document = json.loads(proxy.call("GET", f"{PREFIX}/openapi.json")[2])
    assert document["servers"] == [{"url": PREFIX}]
    for path in ("/predict", "/explain"):
        assert path in document["paths"]
        assert proxy.call("POST", PREFIX + path, jpeg)[0] == 200
    assert proxy.call("POST", f"{PREFIX}/predict", b"")[0] == 400


def test_logs_and_metrics_name_routes_without_the_prefix(
    proxy: Server, service: Server, jpeg: bytes
) -> None:
    series = 'neumo_requests_total{method="POST",route="/predict",status="200"}'
    before = value_of(service.call("GET", "/metrics")[2].decode(), series)
    _, headers, _ = proxy.call("POST", f"{PREFIX}/predict", jpeg)
    after = service.call("GET", "/metrics")[2].decode()
    assert value_of(after, series) - before == 1
    assert PREFIX not in after
    assert service.line_of(headers["x-request-id"])["route"] == "/predict"


def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(proxy: Server) -> None:
    status, headers, _ = proxy.call("GET", f"{PREFIX}/predict")
    assert (status, headers["allow"]) == (405, "POST")


def test_probes_that_ask_the_service_itself_need_no_prefix(service: Server) -> None:
    assert service.call("GET", "/health/ready")[0] == 200
    assert service.call("GET", f"{PREFIX}/health/ready")[0] == 200
    assert service.call("GET", f"{PREFIX}health/ready")[0] == 404
    assert service.call("GET", PREFIX)[0] == 404


def test_a_page_below_the_prefix_is_the_services_own_though_the_proxy_changes_the_host(
    proxy: Server, jpeg: bytes
) -> None:
    # nginx passes on the upstream's name as Host. Over TLS, and on one machine, browsers tell.
    page = {"Origin": proxy.url}
    path = f"{PREFIX}/predict"
    own = page | {"Sec-Fetch-Site": "same-origin"}
    assert proxy.call("POST", path, jpeg, own)[0] == 200
    named = page | {"X-Forwarded-Host": proxy.url.removeprefix("http://")}
    assert proxy.call("POST", path, jpeg, named)[0] == 200
    status, _, problem = proxy.call("POST", path, jpeg, page)
    assert status == 403
    assert b"Host" in problem
