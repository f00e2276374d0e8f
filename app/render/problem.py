"""An error as its caller is told it: RFC 9457 ``application/problem+json``, one shape for all."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from app.errors import RequestError
from app.language import Language

MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:problem-type:neumo:"


class Problem(BaseModel):
    """Why a call can't be answered (RFC 9457). Some codes add members of their own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["urn:problem-type:neumo:image_truncated"])
    title: str
    status: int
    detail: str = Field(description="What happened and what to do next")
    code: str = Field(description="Stable; decide by this", examples=["image_truncated"])
    request_id: str


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
