"""app.http.pages.front_page: what a browser is sent, how long it may keep it, what it may do."""

import html
import json
import re

import pytest
from fastapi.testclient import TestClient

from app.http.pages import front_page
from app.http.route_table import RouteTable
from app.settings.settings import Settings
from tests.apps import served
from tests.models import FakeModel


def addresses(page: str) -> list[str]:
    """Return what the page itself asks for."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def test_the_page_is_html_and_all_it_asks_for_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    asked = addresses(page.text)
    assert {"page/main.js", "page/page.css", "page/icon.svg"} <= set(asked)
    for address in asked:
        assert not address.startswith("/"), "an absolute address leads past a proxy's path"
        assert client.get(f"/{address}").status_code == 200, address


def test_every_module_that_a_module_imports_is_there(client: TestClient) -> None:
    seen, waiting = set(), ["main.js"]
    while waiting:
        name = waiting.pop()
        answer = client.get(front_page.FOLDER + name)
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8", name
        seen.add(name)
        waiting += set(re.findall(r'from "\./([^"]+)"', answer.text)) - seen
    served_modules = {
        path.rpartition("/")[2]
        for path in RouteTable.of(work=[], other=[front_page.router]).methods
        if path.endswith(".js")
    }
    assert seen == served_modules


def test_the_route_table_knows_the_page_and_its_files_but_no_other_name() -> None:
    methods = RouteTable.of(work=[], other=[front_page.router]).methods
    assert methods["/"] == "GET, HEAD"
    assert methods["/page/main.js"] == "GET, HEAD"
    assert "/page/index.html" not in methods
    assert "/page/__init__.py" not in methods


@pytest.mark.parametrize("path", ["/page/", "/page/none.js", "/page/..%2fmain.py"])
def test_nothing_else_lies_there(client: TestClient, path: str) -> None:
    assert client.get(path).json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/page.css", "/page/icon.svg"])
def test_a_browser_may_do_nothing_but_ask_this_service(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"].split("; ")
    assert policy[:5] == [
        "default-src 'none'", "script-src 'self'", "style-src 'self'",
        "img-src 'self' blob: data:", "connect-src 'self'",
    ]  # fmt: skip
    assert {"form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_what_a_browser_holds_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for held in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get(path, headers={"If-None-Match": held})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_head_tells_what_get_would_send(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "content-security-policy"):
        assert head.headers[name] == get.headers[name]


def test_the_page_is_told_what_it_has_to_know_of_the_service() -> None:
    assert front_page.facts_of(Settings()) == {
        "max_body_bytes": 32 * 2**20, "reweighted": False, "accepted": False,
        "audited": False,
    }  # fmt: skip
    with served(FakeModel(), max_body_bytes=5000) as client:
        page = client.get("/").text
    (told,) = re.findall(r'name="neumo-service" content="([^"]+)"', page)
    assert json.loads(html.unescape(told))["max_body_bytes"] == 5000


def test_whoever_reweights_is_told_so() -> None:
    priors = "normal=0.7,covid19=0.1,bacterial_pneumonia=0.1,viral_pneumonia=0.1"
    assert front_page.facts_of(Settings(priors=priors))["reweighted"] is True


def test_an_audit_trail_is_told() -> None:
    assert front_page.facts_of(Settings(audit_folder="audit"))["audited"] is True
