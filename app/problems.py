"""Errors as RFC 9457 ``application/problem+json`` answers: one shape, one handler."""

from typing import Final

from starlette.responses import JSONResponse

from app.errors import (
    InternalError,
    Malformed,
    MethodNotAllowed,
    NotFound,
    RequestError,
)
from app.language import Language, answer_headers

MEDIA_TYPE: Final = "application/problem+json"

_BY_STATUS: Final[dict[int, type[RequestError]]] = {
    error.status: error for error in (Malformed, NotFound, MethodNotAllowed)
}


def problem_response(error: RequestError, request_id: str, language: Language) -> JSONResponse:
    """Render an error for its caller."""
    return JSONResponse(
        error.problem(request_id, language),
        status_code=error.status,
        headers=answer_headers(language) | error.headers(),
        media_type=MEDIA_TYPE,
    )


def error_for_status(status: int) -> RequestError:
    """Return Neumo's error for a status that the framework raised by itself."""
    fallback = InternalError if status >= InternalError.status else Malformed
    return _BY_STATUS.get(status, fallback)()
