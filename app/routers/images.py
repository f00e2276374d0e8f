"""What the OpenAPI page tells of calls that take images: their bodies and their problems."""

from typing import Any, Final, get_args

from app.card import View
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
    NotAChestXray,
    NotReady,
    Overloaded,
    TooManyFiles,
    UnsupportedMediaType,
)
from app.uploads import FIELD, MAX_AGE_YEARS

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
    NotAChestXray,
)
_BINARY: Final = {"type": "string", "format": "binary"}
_SUBJECT: Final = {
    "age_years": {"type": "number", "minimum": 0, "maximum": MAX_AGE_YEARS},
    "view": {"type": "string", "enum": list(get_args(View))},
}
ONE_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: _BINARY, **_SUBJECT},
                }
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
