"""What the OpenAPI page tells beside what FastAPI sees: bodies, queries and problems."""

from typing import Any, Final

from fastapi import FastAPI

from app.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    DicomUnsupported,
    EmptyUpload,
    Fact,
    Forbidden,
    HeadTooLarge,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    InternalError,
    InvalidParameter,
    Malformed,
    MissingFile,
    ModelNotUsable,
    NotAcceptable,
    NotAChestXray,
    NotReady,
    OriginNotAllowed,
    Overloaded,
    RateLimited,
    RecordsFull,
    RequestError,
    RequestTimeout,
    ResultAbsent,
    SwitchFailed,
    TooManyFiles,
    Unauthenticated,
    UnsupportedMediaType,
)
from app.http.body.upload import FIELD
from app.http.parameters import MOST_WINDOWS
from app.http.route_scopes import OPEN, RouteScopes
from app.image.grey_image import MAX_AGE_YEARS
from app.reading.subject_words import AGE_PATTERN, VIEW_WORDS
from app.render.film_picture import DEFAULT_PX, LEAST_PX, MOST_PX
from app.render.problem import EXAMPLE, MEDIA_TYPE, Problem, render_problem

ANY_CALL: Final = (Malformed, RequestTimeout, BodyTooLarge, HeadTooLarge, InternalError)
"""What any call may be answered, whatever it asks for."""

GUARDED: Final = (Unauthenticated, Forbidden, RateLimited)
"""What a call that needs a scope may be answered before it is looked at."""

_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key made by `neumo keys create`, or a token (JWT) of the issuer that the "
        "service takes tokens of",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key made by `neumo keys create`",
    },
}

ANY_UPLOAD: Final = (
    *ANY_CALL,
    MissingFile,
    TooManyFiles,
    UnsupportedMediaType,
    InvalidParameter,
    NotReady,
    Overloaded,
    RecordsFull,
)
DECODED: Final = (
    EmptyUpload,
    ImageTruncated,
    ImageUndecodable,
    ImageTooSmall,
    ImageTooManyPixels,
    DicomUnsupported,
    DeadlineExceeded,
)
ONE_IMAGE: Final = (*DECODED, NotAChestXray)
# Facts of the examples: those that a service of default settings gives.
_EXAMPLE_FACTS: Final[dict[type[RequestError], dict[str, Fact]]] = {
    BodyTooLarge: {"max_body_bytes": 33_554_432},
    InvalidParameter: {"parameter": "age_years", "reason": "age"},
    MissingFile: {"field": FIELD},
    TooManyFiles: {"max_files": 1},
    ImageUndecodable: {"format": "JPEG"},
    ImageTooSmall: {"min_side_px": 64},
    ImageTooManyPixels: {"max_pixels": 50_000_000},
    NotAChestXray: {"reason": "upside_down"},
    HeadTooLarge: {"max_head_bytes": 32_768},
    Overloaded: {"retry_after_s": 2},
    Unauthenticated: {"reason": "missing"},
    Forbidden: {"scope": "predict"},
    RateLimited: {"retry_after_s": 2},
    ModelNotUsable: {"model": "neumo-r18-2", "failure": "bundle_hash_mismatch"},
    SwitchFailed: {"reason": "no_vote"},
    NotAcceptable: {"types": "application/dicom+json, application/json"},
    ResultAbsent: {"state": "refused"},
}
# In "Try it out" nothing may stand in these fields: it would be sent, and said of the patient.
_EMPTY: Final = {"examples": [""], "example": ""}
_BINARY: Final = {"type": "string", "format": "binary"}
_SUBJECT: Final[dict[str, dict[str, Any]]] = {
    "age_years": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_AGE_YEARS},
            {"type": "string", "pattern": AGE_PATTERN},
        ],
        "description": "Years (61, 61.5), or DICOM's 061Y, 018M, 006W, 010D; empty: not known",
        **_EMPTY,
    },
    "view": {
        "type": "string",
        "enum": ["", *VIEW_WORDS],
        "description": "How the X-rays passed: PA, AP, lateral, or DICOM's words; empty: not known."
        " Lower case is taken too, and a position behind (AP SUPINE)",
        **_EMPTY,
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


SUBJECT_QUERY: Final = _query(_SUBJECT, "The form's field wins; both win over a DICOM file's tags")
HEATMAP_QUERY: Final = _query(
    {"heatmap": {"type": "boolean", "default": False}}, "Add the class activation map"
)
WINDOW_QUERY: Final = _query(
    {"window": {"type": "integer", "minimum": 1, "maximum": MOST_WINDOWS}},
    "Which of a DICOM file's VOI LUTs and windows, LUTs first, counted from 1; the first if "
    "missing. (DCMTK and dcm4che count from 1 too, LUTs and windows apart.) No such one, as of "
    "a film in colours: 400, with their number. JPEG and PNG have none and take no notice",
)
IMAGE_QUERY: Final = WINDOW_QUERY + _query(
    {"include": {"type": "string", "enum": ["uid"]}},
    "uid: tell a DICOM file's SOP Instance UID in `image`",
)
MAX_PX_QUERY: Final = _query(
    {
        "max_px": {
            "type": "integer",
            "minimum": LEAST_PX,
            "maximum": MOST_PX,
            "default": DEFAULT_PX,
        }
    },
    "Most pixels of the longer side; nothing is enlarged",
)
DAYS_QUERY: Final = _query(
    {"days": {"type": "integer", "minimum": 1, "maximum": 9999}},
    "Films read within so many days; if missing, as NEUMO_PERFORMANCE_DAYS says",
)
ONE_FILE: Final = _body(
    {
        "multipart/form-data": _form(
            **{FIELD: _BINARY | {"minLength": 1, "description": "A JPEG, PNG or DICOM file"}},
            **_SUBJECT,
        ),
        **{
            media_type: {"schema": _BINARY | {"minLength": 1}}
            for media_type in (
                "image/jpeg",
                "image/png",
                "application/dicom",
                "application/octet-stream",
            )
        },
    }
)
_BINARIES: Final = {
    "type": "array",
    "items": _BINARY,
    "minItems": 1,
    "description": "JPEG, PNG and DICOM files, at most as many as NEUMO_MAX_BATCH_FILES says (32). "
    "An empty one gets a Problem in its place: `empty_upload`",
}
_ONCE_OR_EACH: Final = "Once for all files, or once for each, in their order. "
MANY_FILES: Final = _body(
    {
        "multipart/form-data": _form(
            **{FIELD: _BINARIES},
            **{
                name: schema | {"description": _ONCE_OR_EACH + schema["description"]}
                for name, schema in _SUBJECT.items()
            },
        )
    }
)


def describe_problems(*errors: type[RequestError]) -> dict[int | str, dict[str, Any]]:
    """Describe the problems a route answers with, by status, each by its code and an example."""
    by_status: dict[int, list[type[RequestError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {
            "description": ", ".join(f"`{error.code}`" for error in those),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
                    "examples": {error.code: {"value": _example_of(error)} for error in those},
                }
            },
        }
        for status, those in sorted(by_status.items())
    }


def _example_of(kind: type[RequestError]) -> dict[str, Any]:
    error = kind(**_EXAMPLE_FACTS.get(kind, {}))
    return render_problem(error, str(EXAMPLE["request_id"]), "en").model_dump()


def describe_access(app: FastAPI, route_scopes: RouteScopes, *, asked: bool) -> None:
    """Let the page tell, of each call, which scope it needs and how a caller is refused.

    Parameters
    ----------
    asked : whether callers are asked who they are; if not, none is told to show a key
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = describe()
        if asked:
            document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        for path, calls in document["paths"].items():
            scope = route_scopes.declared[path]
            for method, call in calls.items() if scope is not OPEN else ():
                # Pages of other origins are refused all that isn't only looking.
                guarded = GUARDED if method == "get" else (*GUARDED, OriginNotAllowed)
                call["responses"] |= {
                    str(status): problem for status, problem in describe_problems(*guarded).items()
                }
                if asked:
                    call["security"] = [{name: []} for name in _SCHEMES]
                    call["x-neumo-scope"] = scope
        return document

    app.openapi = openapi  # type: ignore[method-assign]
