"""Errors as RFC 9457 ``application/problem+json`` answers: one shape, one handler."""

from typing import Final

from starlette.responses import JSONResponse

from app.errors import (
    BodyTooLarge,
    InternalError,
    Malformed,
    MethodNotAllowed,
    NotFound,
    RequestError,
)
from app.language import Language

MEDIA_TYPE: Final = "application/problem+json"

_BY_STATUS: Final[dict[int, type[RequestError]]] = {
    error.status: error for error in (Malformed, NotFound, MethodNotAllowed)
}


def problem_response(error: RequestError, request_id: str, language: Language) -> JSONResponse:
    """Render an error for its caller."""
    headers = {"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    if isinstance(error, BodyTooLarge):
        headers["Connection"] = "close"  # the rest of the body is not waited for
    return JSONResponse(
        error.problem(request_id, language),
        status_code=error.status,
        headers=headers | error.headers(),
        media_type=MEDIA_TYPE,
    )


def error_for_status(status: int) -> RequestError:
    """Return Neumo's error for a status that the framework raised by itself."""
    fallback = InternalError if status >= InternalError.status else Malformed
    return _BY_STATUS.get(status, fallback)()
