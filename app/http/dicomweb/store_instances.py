"""``POST /dicomweb/studies``: films are stored, to be read (STOW-RS, PS3.18 section 10.5)."""

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import (
    EmptyUpload,
    ExchangeOff,
    InvalidParameter,
    NotAcceptable,
    Overloaded,
    QueueAway,
    QueueFull,
    TooManyFiles,
    UnsupportedMediaType,
)
from app.http.accept import choose_media_type
from app.http.body.related_parts import DICOM_TYPE, RelatedParts, WholePart
from app.http.body.upload import media_type_of, service_of
from app.http.dicomweb.film_readings import outbox_of
from app.http.dicomweb.store_response import (
    ANSWER_TYPES,
    SCHEMA,
    refusal_of,
    render_store_response,
    status_of,
)
from app.http.openapi import ANY_CALL, describe_problems

if TYPE_CHECKING:
    from app.http.dicomweb.film_intake import Intake
    from app.records.outbox.outbox import Outbox

router = APIRouter(tags=["dicomweb"])

STUDIES_PATH: Final = "/dicomweb/studies"
STUDY_PATH: Final = "/dicomweb/studies/{study_uid}"

_RELATED: Final = "multipart/related"
_UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)+", re.ASCII)  # PS3.5 section 9.1
_BINARY: Final = {"type": "string", "format": "binary", "minLength": 1}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {ANSWER_TYPES[0]: {"schema": SCHEMA}}}
    for status, text in (
        (200, "All were taken: they are on the disk"),
        (202, "Some were taken, others not; which and why stands in the answer"),
        (409, "None was taken; why stands in the answer"),
    )
}
_DESCRIBED: Final[dict[str, Any]] = {
    "status_code": 200,
    "response_class": Response,
    "responses": describe_problems(
        *ANY_CALL,
        EmptyUpload,
        InvalidParameter,
        TooManyFiles,
        UnsupportedMediaType,
        ExchangeOff,
        NotAcceptable,
        Overloaded,
        QueueFull,
        QueueAway,
    )
    | _ANSWERS,
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            DICOM_TYPE: {"schema": _BINARY},
            _RELATED: {
                "schema": _BINARY
                | {
                    "description": 'Parts of application/dicom, with type="application/dicom" and '
                    "a boundary in Content-Type (RFC 2387)"
                }
            },
        },
    }
}
_STUDY: Final = {
    "name": "study_uid",
    "in": "path",
    "required": True,
    "description": "Study Instance UID of every instance",
    "schema": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)+$", "maxLength": 64},
}


@router.post(STUDIES_PATH, summary="Store films (STOW-RS)", openapi_extra=_BODY, **_DESCRIBED)
async def store_instances(request: Request) -> Response:
    """Keep films to be read, and answer as PS3.18 has it; GET /readings/{id} tells of each.

    Each is on the disk once this is answered. Reports, presentation states and Neumo's own results
    are taken and dropped. What was stored before is stored: nothing is read twice.
    """
    return await _store(request, None)


@router.post(
    STUDY_PATH,
    summary="Store films of one study (STOW-RS)",
    openapi_extra=_BODY | {"parameters": [_STUDY]},
    **_DESCRIBED,
)
async def store_instances_of_study(request: Request) -> Response:
    """As POST /dicomweb/studies; an instance of another study is not taken (A900H)."""
    study_uid = str(request.path_params["study_uid"])
    if not _UID.fullmatch(study_uid):
        raise InvalidParameter(parameter="study_uid")
    return await _store(request, study_uid)


async def _store(request: Request, study_uid: str | None) -> Response:
    outbox = outbox_of(request)
    media_type = choose_media_type(request.headers.get("accept"), ANSWER_TYPES)
    if media_type is None:
        raise NotAcceptable(types=", ".join(ANSWER_TYPES))
    intakes = await _receive(request, outbox, study_uid)
    refusal = refusal_of(intakes)
    if refusal is not None:
        raise refusal
    return Response(
        json.dumps(render_store_response(intakes)),
        status_code=status_of(intakes),
        media_type=media_type,
        headers={"Cache-Control": "no-store", "Vary": "Accept"},
    )


async def _receive(request: Request, outbox: "Outbox", study_uid: str | None) -> "list[Intake]":
    """Take in each part once it is complete, so that one at a time is held."""
    from app.http.dicomweb.film_intake import take_in  # noqa: PLC0415 - pydicom is an extra's

    service, body = service_of(request), _open_body(request)
    held = service.models.held()
    models = [each.reader.model.card.sha256 for each in held if each.reader is not None]
    intakes: list[Intake] = []
    with service.admission.receive() as claim:
        async for piece in request.stream():
            service.admission.hold(claim, len(piece))
            for part in body.write(piece):
                intakes.append(await asyncio.to_thread(take_in, part, outbox, study_uid, models))
                refusal = refusal_of(intakes)
                if refusal is not None and refusal.retry_after_s:
                    raise refusal  # the rest need not come
            service.admission.let_go(claim, claim.held_bytes - body.held_bytes)
        intakes += [
            await asyncio.to_thread(take_in, part, outbox, study_uid, models)
            for part in body.finish()
        ]
    if not intakes:
        raise EmptyUpload
    return intakes


def _open_body(request: Request) -> RelatedParts | WholePart:
    most_bytes, media_type = service_of(request).settings.max_body_bytes, media_type_of(request)
    if media_type == _RELATED:
        return RelatedParts(request.headers["content-type"], most_bytes)
    if media_type == DICOM_TYPE:
        return WholePart(most_bytes)
    raise UnsupportedMediaType(reason="not_related")
