"""``POST /feedback/{request_id}``: what a film turned out to show."""

import re
from typing import TYPE_CHECKING, Final, cast

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from app.errors import (
    BodyTooLarge,
    FeedbackConflict,
    InvalidParameter,
    RecordsFull,
    RecordsOff,
    RecordsUnavailable,
    RequestUnknown,
    UnsupportedMediaType,
)
from app.http.answer import answer_headers
from app.http.front.envelope import is_request_id, record_of
from app.http.front.guard import caller_of
from app.http.openapi import ANY_CALL, describe_problems
from app.records.diagnosis import Feedback, TakenFeedback
from app.service.witness import Origin

if TYPE_CHECKING:
    from app.records.records import Records

router = APIRouter(tags=["records"])

_MOST_BYTES: Final = 4096
_JSON: Final = re.compile(r"application/(json|[\w.+-]+\+json)", re.ASCII)


@router.post(
    "/feedback/{request_id}",
    status_code=201,
    summary="Say what a film turned out to show",
    response_model=TakenFeedback,
    responses=describe_problems(
        *ANY_CALL,
        InvalidParameter,
        UnsupportedMediaType,
        RecordsOff,
        RequestUnknown,
        FeedbackConflict,
        RecordsUnavailable,
        RecordsFull,
    ),
    openapi_extra={
        "parameters": [
            {
                "name": "request_id",
                "in": "path",
                "required": True,
                "description": "Of the answer to that film",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Feedback.model_json_schema()}},
        },
    },
)
async def feedback(request: Request) -> Response:
    """Write a confirmed diagnosis down, beside the answer of `request_id`; the last one counts.

    It is answered once it is on the disk. See /performance for what becomes of it.
    """
    records = records_of(request)
    given, request_id = await _read(request), str(request.path_params["request_id"])
    if not is_request_id(request_id):
        raise RequestUnknown
    record = record_of(request.scope)
    origin = Origin(record.request_id, caller_of(request.scope).name, "/feedback")
    taken = await records.take_feedback(given, request_id, origin)
    return Response(
        taken.model_dump_json(),
        status_code=201,
        media_type="application/json",
        headers=answer_headers(record.language),
    )


def records_of(request: Request) -> "Records":
    """Return this process's records.

    Raises
    ------
    RecordsOff
    """
    if request.app.state.records is None:
        raise RecordsOff
    return cast("Records", request.app.state.records)


async def _read(request: Request) -> Feedback:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON.fullmatch(media_type):
        raise UnsupportedMediaType(reason="not_json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise BodyTooLarge(max_body_bytes=_MOST_BYTES)
    try:
        return Feedback.model_validate_json(body)
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]["loc"]
        known = str(where[0]) if where and where[0] in Feedback.model_fields else "body"
        raise InvalidParameter(parameter=known, reason="feedback") from None
