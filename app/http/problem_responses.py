"""How the OpenAPI page tells of problems."""

from typing import Any

from app.errors import RequestError
from app.render.problem import MEDIA_TYPE
from app.render.reading_json import Problem


def describe_problems(*errors: type[RequestError]) -> dict[int | str, dict[str, Any]]:
    """Describe the problems a route answers with, by status, each by its code."""
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(error.status, []).append(f"`{error.code}`")
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"description": ", ".join(names), "content": content}
        for status, names in sorted(codes.items())
    }
