"""``POST /preview``: the film as it is read, to look at; a browser can't show a DICOM file."""

import re
from typing import Final, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import InvalidParameter
from app.http.body.upload import read_upload, service_of
from app.http.front.envelope import record_of
from app.http.front.gate import claim_of
from app.http.openapi import (
    ANY_UPLOAD,
    DECODED,
    MAX_PX_QUERY,
    ONE_FILE,
    SUBJECT_QUERY,
    WINDOW_QUERY,
    describe_problems,
    with_query,
)
from app.http.parameters import read_number, read_window
from app.render.film_picture import DEFAULT_PX, LEAST_PX, MOST_PX, draw_film
from app.service.trace import noting

router = APIRouter(tags=["predict"])

_WEIGHT: Final = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)", re.ASCII)  # RFC 9110 section 12.4.2
_PICTURE: Final = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/preview",
    summary="Show the film as it is read",
    response_class=Response,
    responses=describe_problems(*ANY_UPLOAD, *DECODED)
    | {
        200: {
            "description": "8 bits of grey, upright, bright means dense; JPEG if the header Accept "
            "prefers it",
            "content": {"image/png": _PICTURE, "image/jpeg": _PICTURE},
        }
    },
    openapi_extra=with_query(ONE_FILE, SUBJECT_QUERY, WINDOW_QUERY, MAX_PX_QUERY),
)
async def preview(request: Request) -> Response:
    """Answer with the film of one JPEG, PNG or DICOM file: form field `file`, or the raw body.

    The network is not asked: what /predict refuses as no chest X-ray is shown too.
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    window, max_px = read_window(request.query_params), read_number(request.query_params, "max_px")
    if max_px is not None and not LEAST_PX <= max_px <= MOST_PX:
        raise InvalidParameter(parameter="max_px")
    upload = await read_upload(request, query=("window", "max_px"))
    max_px = int(max_px or DEFAULT_PX)
    with noting(record.trace, "decode"):
        image = await service.decode(upload.files[0], claim, window, least_px=max_px)
    kind = _preferred(request.headers.get("accept", ""))
    with noting(record.trace, "render"):
        content = await service.render(lambda: draw_film(image, kind, max_px), claim)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(content, media_type=f"image/{kind.lower()}", headers=headers)


def _preferred(accept: str) -> Literal["PNG", "JPEG"]:
    """Return JPEG if a header Accept weighs it over PNG (RFC 9110 section 12.5.1), else PNG."""
    weights: dict[str, float] = {}
    for entry in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        told = [float(match[1]) for each in parameters if (match := _WEIGHT.fullmatch(each))]
        weights[media_range] = told[0] if told else 1.0
    fallback = weights.get("image/*", weights.get("*/*", 0.0))
    jpeg, png = (weights.get(each, fallback) for each in ("image/jpeg", "image/png"))
    return "JPEG" if jpeg > png else "PNG"
