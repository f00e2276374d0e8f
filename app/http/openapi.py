"""What the OpenAPI page tells beside what FastAPI sees: bodies, queries and problems."""

from typing import Any, Final

from app.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    EmptyUpload,
    HeadTooLarge,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    InternalError,
    Malformed,
    MissingFile,
    NotAChestXray,
    NotReady,
    Overloaded,
    RequestError,
    RequestTimeout,
    TooManyFiles,
    UnsupportedMediaType,
)
from app.http.parameters import MAX_AGE_YEARS
from app.http.upload import FIELD
from app.render.problem import MEDIA_TYPE, Problem

ANY_UPLOAD: Final = (
    Malformed,
    MissingFile,
    TooManyFiles,
    BodyTooLarge,
    RequestTimeout,
    HeadTooLarge,
    InternalError,
    NotReady,
    Overloaded,
)
ONE_IMAGE: Final = (
    EmptyUpload,
    UnsupportedMediaType,
    ImageTruncated,
    ImageUndecodable,
    ImageTooSmall,
    ImageTooManyPixels,
    NotAChestXray,
    DeadlineExceeded,
)
_BINARY: Final = {"type": "string", "format": "binary"}
_SUBJECT: Final[dict[str, dict[str, Any]]] = {
    "age_years": {
        "anyOf": [{"type": "number", "minimum": 0, "maximum": MAX_AGE_YEARS}, {"type": "string"}],
        "description": "Years (61, 61.5), or DICOM's 061Y, 018M, 006W, 010D; empty: not known",
    },
    "view": {
        "type": "string",
        "description": "PA, AP, lateral, or DICOM's LL, RL, LLD, RLD, LLO, RLO; empty: not known",
    },
}


def with_query(body: dict[str, Any], *parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe a call that has a body and a query."""
    return body | {"parameters": [each for some in parameters for each in some]}


def _form(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    return {"schema": {"type": "object", "required": [FIELD], "properties": properties}}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _query(schemas: dict[str, dict[str, Any]], description: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": description, "schema": schema}
        for name, schema in schemas.items()
    ]


SUBJECT_QUERY: Final = _query(_SUBJECT, "The form's field wins")
HEATMAP_QUERY: Final = _query(
    {"heatmap": {"type": "boolean", "default": False}}, "Add the class activation map"
)
ONE_FILE: Final = _body(
    {
        "multipart/form-data": _form(**{FIELD: _BINARY}, **_SUBJECT),
        "image/jpeg": {"schema": _BINARY},
        "image/png": {"schema": _BINARY},
    }
)
_BINARIES: Final = {"type": "array", "items": _BINARY, "minItems": 1}
MANY_FILES: Final = _body({"multipart/form-data": _form(**{FIELD: _BINARIES}, **_SUBJECT)})


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
