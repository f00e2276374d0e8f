"""An error as its caller is told it: RFC 9457 ``application/problem+json``, one shape for all."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.errors import NeumoError, RequestError
from app.language import Language

MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:problem-type:neumo:"
EXAMPLE: Final[JsonDict] = {
    "type": "urn:problem-type:neumo:image_truncated",
    "title": "Image truncated",
    "status": 422,
    "detail": "The image ends too early; part of it was lost on the way. Send it again from the "
    "source.",
    "code": "image_truncated",
    "request_id": "01M89YMQ7DS491K3W4XE3W17T8",
}
"""A problem as a service answers it."""


class Problem(BaseModel):
    """Why a call can't be answered (RFC 9457). Some codes add members of their own."""

    model_config = ConfigDict(frozen=True, extra="allow", json_schema_extra={"examples": [EXAMPLE]})

    type: str = Field(description="The code as a URN; names the kind, leads nowhere")
    title: str = Field(description="The kind, in the language asked for by Accept-Language")
    status: int = Field(description="Of the answer; in a batch, of this file alone")
    detail: str = Field(description="What happened and what to do next")
    code: str = Field(description="Stable; decide by this")
    request_id: str = Field(description="Also in the header X-Request-ID and the log")


def render_problem(
    error: RequestError, request_id: str, language: Language, **members: int
) -> Problem:
    """Render an error with the members of RFC 9457 section 3, ours, and the error's facts.

    `members` are added, such as a file's `index` in a batch.
    """
    return Problem(
        type=_TYPE_PREFIX + error.code,
        title=error.title.render(language),
        status=error.status,
        detail=error.detail(language),
        code=error.code,
        request_id=request_id,
        **error.facts,
        **members,
    )


def title_of(code: str, language: Language) -> str | None:
    """Return what an error is called, by its code; None if no error has it."""
    waiting: list[type[NeumoError]] = [NeumoError]
    while waiting:
        kind = waiting.pop()
        if getattr(kind, "code", None) == code:
            return kind.title.render(language)
        waiting += kind.__subclasses__()
    return None
