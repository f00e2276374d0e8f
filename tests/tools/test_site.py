"""The site: built strict, asks nothing of any other host, and holds what its pages lead to."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("material", reason="the extra docs is not installed")
from tools.site import mend_links


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


def pages(site: Path) -> list[Path]:
    return [path for path in site.rglob("*.html") if "source" not in path.parts]


def test_it_holds_a_page_for_each_markdown_file(site: Path) -> None:
    expected = {
        path.relative_to(ROOT / "docs").with_suffix(".html")
        for path in (ROOT / "docs").rglob("*.md")
        if path.name != "README.md"
    }
    assert expected <= {path.relative_to(site) for path in pages(site)}


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    for path in pages(site):
        text = path.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"([^\"]*)\"", text)
        assert loads
        assert [each for each in loads if re.match(r"(https?:)?//", each)] == [], path
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_a_link_to_a_file_of_the_checkout_leads_to_its_copy(site: Path) -> None:
    copied = site / "source" / "deploy" / "nginx.conf"
    assert copied.read_bytes() == (ROOT / "deploy" / "nginx.conf").read_bytes()
    assert "source/deploy/nginx.conf" in (site / "operations.html").read_text(encoding="utf-8")


def test_the_search_knows_every_error(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "reference/errors.html#not_a_chest_xray" in index


@pytest.mark.parametrize(
    ("page", "link", "mended"),
    [
        ("operations.md", "[a](reference/settings.md)", "[a](reference/settings.md)"),
        ("operations.md", "[a](../deploy/nginx.conf)", "[a](source/deploy/nginx.conf)"),
        ("operations.md", "[a](../SECURITY.md#x)", "[a](SECURITY.md#x)"),
        ("reference/http.md", "[a](../operations.md)", "[a](../operations.md)"),
        ("CHANGELOG.md", "[a](docs/training.md#b)", "[a](training.md#b)"),
        ("CHANGELOG.md", "[a](README.md)", "[a](README.md)"),
        ("performance.md", "[the rivals](../benchmarks/rival)", "the rivals"),
        ("start.md", "[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("start.md", "[a](#b)", "[a](#b)"),
        ("start.md", "```\n[a](../SECURITY.md)\n```\n", "```\n[a](../SECURITY.md)\n```\n"),
        ("models/neumo-r18-3/README.md", "![roc](roc.png)", "![roc](roc.png)"),
    ],
)
def test_a_link_leads_to_where_the_site_holds_it(page: str, link: str, mended: str) -> None:
    assert mend_links(link, page) == mended


def test_a_broken_link_stops_the_build(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        checkout,
        ignore=shutil.ignore_patterns(".*", "site", "model.onnx", "__pycache__", "runs"),
    )
    with (checkout / "docs" / "start.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "nowhere.md" in result.stderr
