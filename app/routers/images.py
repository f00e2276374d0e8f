"""What the OpenAPI page tells of calls that take images: their bodies and their problems."""

from typing import Any, Final

from app.errors import (
    BodyTooLarge,
    EmptyUpload,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    InternalError,
    Malformed,
    MissingFile,
    NotReady,
    Overloaded,
    TooManyFiles,
    UnsupportedMediaType,
)
from app.uploads import FIELD

ANY_UPLOAD: Final = (
    Malformed,
    MissingFile,
    TooManyFiles,
    BodyTooLarge,
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
)
_BINARY: Final = {"type": "string", "format": "binary"}
ONE_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}
            },
            "image/jpeg": {"schema": _BINARY},
            "image/png": {"schema": _BINARY},
        },
    }
}
MANY_FILES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "items": _BINARY, "minItems": 1}},
                }
            }
        },
    }
}
