"""``GET /``: the page for people, and the files it is made of.

Everything on it comes from here, and it asks this service only: the Content-Security-Policy allows
nothing else. Addresses on it are relative, so it works below any path that a proxy puts in front.
"""

import hashlib
import html
import json
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.http.body.upload import service_of
from app.settings.settings import Settings

FOLDER: Final = "/page/"
"""Where the page's files lie. They and the page itself are public: they hold nothing of anybody."""

_INDEX: Final = "index.html"
_FACTS: Final = b"{{facts}}"
_MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, but asked for anew by its hash each time
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _read_files() -> dict[str, bytes]:
    """Return the page's files by name."""
    return {
        each.name: each.read_bytes()
        for each in files("app.web").iterdir()
        if each.name.rpartition(".")[2] in _MEDIA_TYPES
    }


_FILES: Final = _read_files()
_TAGS: Final = {name: hashlib.sha256(content).hexdigest() for name, content in _FILES.items()}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def page(request: Request) -> Response:
    """Answer with the page, which holds what it has to know of this service."""
    facts = json.dumps(facts_of(service_of(request).settings), separators=(",", ":"))
    content = _FILES[_INDEX].replace(_FACTS, html.escape(facts).encode())
    return _answer(request, content, "html", hashlib.sha256(content).hexdigest())


async def _file(request: Request) -> Response:
    """Answer with one of the page's files."""
    name = str(request.scope["path"]).rpartition("/")[2]
    return _answer(request, _FILES[name], name.rpartition(".")[2], _TAGS[name])


PATHS: Final = ("/", *(FOLDER + name for name in sorted(_FILES.keys() - {_INDEX})))
"""What is answered here: the page and its files."""

for _path in PATHS[1:]:
    router.add_api_route(_path, _file, methods=["GET", "HEAD"], response_model=None)


def facts_of(settings: Settings) -> dict[str, object]:
    """Return what the page has to know before it sends a film."""
    return {
        "max_body_bytes": settings.max_body_bytes,
        # Then the probabilities shown are not those that operating points are compared with.
        "reweighted": settings.label_priors is not None,
        "accepted": bool(settings.acceptance),
        "audited": bool(settings.audit_folder or settings.audit_database),
    }


def _answer(request: Request, content: bytes, suffix: str, digest: str) -> Response:
    tag = f'"{digest[:32]}"'
    headers = {**_HEADERS, "ETag": tag}
    given = request.headers.get("if-none-match", "")
    if tag in (each.strip().removeprefix("W/") for each in given.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[suffix], headers=headers)
