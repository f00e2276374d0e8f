"""Answers: the headers that all share, and the one way in which an error becomes an answer."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import (
    InternalError,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Refused,
    RequestError,
)
from app.language import Language
from app.render.problem import MEDIA_TYPE, render_problem

_V2: Final = "/v2"


def answer_headers(language: Language) -> dict[str, str]:
    """Return the headers of an answer in `language` that nobody but its caller may keep."""
    return {"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store"}


def problem_answer(
    error: RequestError, request_id: str, language: Language, path: str = ""
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that tell an error to its caller.

    Below /v2 it has the member `error`, and the media type, that clients of that protocol look at.

    Parameters
    ----------
    path : that was asked, without the root path; empty where it isn't known
    """
    problem, media_type = render_problem(error, request_id, language), MEDIA_TYPE
    if path == _V2 or path.startswith(f"{_V2}/"):
        text = f"{problem.code}: {problem.detail}"
        problem, media_type = problem.model_copy(update={"error": text}), "application/json"
    fields = {"content-type": media_type, **answer_headers(language), **error.headers()}
    return fields, problem.model_dump_json().encode()


def problem_response(
    error: RequestError, request_id: str, language: Language, path: str
) -> Response:
    """Return an error as a response."""
    fields, body = problem_answer(error, request_id, language, path)
    return Response(body, error.status, fields)


def error_of_framework(error: HTTPException) -> RequestError:
    """Return Neumo's error for one that the framework, or a route's dependency, raised."""
    for known in (Malformed, NotFound, MethodNotAllowed):
        if error.status_code == known.status:
            return known()
    if error.status_code >= InternalError.status:
        return InternalError()
    return Refused(error.status_code, error.headers)
