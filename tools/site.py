"""Hooks of MkDocs: pages that stand outside of docs/, and links that lead there.

In a checkout a link leads to a file, ``../models/neumo-r18-3/README.md`` or ``../app/language.py``.
The site holds the first as a page and the second as a copy, so each link leads somewhere in it
too; one to a folder stays as words.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "README.es.md",
    "client/README.md",
    "examples/README.md",
    "models/neumo-r18-2/README.md",
    "models/neumo-r18-3/README.md",
)
"""Files of the checkout that the site holds as pages, at the same path."""

_COPIES: Final = "source"
_FENCE: Final = re.compile(r"(^ *(```|~~~).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of docs/, and a copy of each file that a page links to."""
    for page_path in PAGES:
        files.append(File.generated(config, page_path, abs_src_path=str(ROOT / page_path)))
    for page in list(files.documentation_pages()):
        origin = _origin(page.src_uri)
        for target in _linked(page.content_string, origin):
            path = _site_path(target)
            there = path is None or files.get_file_from_path(path) is not None
            if path is not None and not there and (ROOT / target).is_file():
                files.append(File.generated(config, path, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names them
    """Lead a page's links to where the site holds what they lead to in a checkout."""
    return mend_links(markdown, page.file.src_uri)


def mend_links(markdown: str, src_uri: str) -> str:
    """Return a page's text with links that hold in the site.

    Parameters
    ----------
    src_uri : of the page in the site
    """
    origin = _origin(src_uri)

    def mend(match: re.Match[str]) -> str:
        mark, words, address = match.groups()
        target, hash_mark, anchor = address.partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = _site_path(posixpath.normpath(posixpath.join(posixpath.dirname(origin), target)))
        if path is None:
            return words
        base = posixpath.dirname(src_uri) or "."
        return f"{mark}[{words}]({posixpath.relpath(path, base)}{hash_mark}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(
        part if index % 3 else _LINK.sub(mend, part)
        for index, part in enumerate(parts)
        if index % 3 != 2  # noqa: PLR2004 - the fence's own mark
    )


def _linked(markdown: str, origin: str) -> set[str]:
    """Return the paths in the checkout that a page's links lead to."""
    folder = posixpath.dirname(origin)
    addresses = [match[3].partition("#")[0] for match in _LINK.finditer(_FENCE.sub("", markdown))]
    return {
        posixpath.normpath(posixpath.join(folder, address))
        for address in addresses
        if address and not re.match(r"[a-z]+:", address)
    }


def _origin(src_uri: str) -> str:
    """Return where a page of the site stands in the checkout."""
    return src_uri if src_uri in PAGES else f"docs/{src_uri}"


def _site_path(path: str) -> str | None:
    """Return where the site holds a path of the checkout; None for a folder.

    What is nowhere is looked for in the site as it is, so that MkDocs tells the broken link.
    """
    if path == "README.md":
        return "README.md"  # the site's own: the first page
    if path in PAGES or path.startswith("models/"):
        return path
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    here = ROOT / path
    if here.is_dir():
        return None
    if here.suffix in {".md", ".png"} or not here.is_file():
        return path
    return str(PurePosixPath(_COPIES) / path)
