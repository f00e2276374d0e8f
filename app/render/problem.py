"""Errors as RFC 9457 ``application/problem+json`` answers: one shape, one handler."""

import json
from typing import Final

from starlette.responses import Response

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


def render_problem(
    error: RequestError, request_id: str, language: Language
) -> tuple[dict[str, str], bytes]:
    """Render an error for its caller: the headers that tell of it, and the body."""
    fields = {"content-type": MEDIA_TYPE, **answer_headers(language), **error.headers()}
    problem = error.problem(request_id, language)
    return fields, json.dumps(problem, ensure_ascii=False, separators=(",", ":")).encode()


def problem_response(error: RequestError, request_id: str, language: Language) -> Response:
    """Answer with an error."""
    fields, body = render_problem(error, request_id, language)
    return Response(body, error.status, fields)


def error_for_status(status: int) -> RequestError:
    """Return Neumo's error for a status that the framework raised by itself."""
    fallback = InternalError if status >= InternalError.status else Malformed
    return _BY_STATUS.get(status, fallback)()
