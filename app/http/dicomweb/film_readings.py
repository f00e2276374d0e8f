"""``GET /readings/{id}``: what was read of a film that was stored, in the shape that is wanted."""

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.errors import (
    ExchangeOff,
    FilmLost,
    InvalidParameter,
    NotAcceptable,
    QueueAway,
    ReadingGone,
    ReadingUnknown,
    ResultAbsent,
)
from app.http.accept import choose_media_type
from app.http.answer import answer_headers
from app.http.front.envelope import record_of
from app.http.openapi import ANY_CALL, describe_problems
from app.language import Language
from app.render.problem import title_of
from app.render.reading_json import Reading

if TYPE_CHECKING:
    from app.records.outbox.outbox import Outbox
    from app.records.outbox.queue_entries import StoredReading

router = APIRouter(tags=["dicomweb"])

READINGS_PATH: Final = "/readings/{id}"

State = Literal["waiting", "read", "refused", "failed"]
Kind = Literal["sr", "sc", "fhir", "hl7"]

_JSON: Final = "application/json"
_TYPES: Final[dict[str, Kind]] = {
    "application/dicom": "sr",
    "application/fhir+json": "fhir",
    "application/hl7-v2": "hl7",
    "x-application/hl7-v2+er7": "hl7",
}
"""What each media type asks for, where no kind is named."""
_TYPES_OF: Final[dict[Kind, tuple[str, ...]]] = {
    "sr": ("application/dicom",),
    "sc": ("application/dicom",),
    "fhir": ("application/fhir+json",),
    "hl7": ("application/hl7-v2", "x-application/hl7-v2+er7"),
}
_RETRY_AFTER_S: Final = "2"


class ResultReference(BaseModel):
    """One object that was made of a Reading."""

    model_config = ConfigDict(frozen=True)

    kind: Kind = Field(description="sr, sc, fhir, hl7: what ?kind= takes")
    uid: str = Field(description="SOP Instance UID; of fhir and hl7 that of the SR")
    media_type: str = Field(description="What Accept takes")


class FilmReading(BaseModel):
    """A film that was stored, and what was read of it."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Of the film")
    state: State = Field(
        description="waiting: not read yet; refused: not to be read, for `code`; failed: not read "
        "for a reason that is not the film's"
    )
    received_at: datetime = Field(description="When it was stored")
    code: str | None = Field(None, description="Why it was refused or failed: a Problem's code")
    title: str | None = Field(None, description="The same in words, if there are any")
    reading: Reading | None = Field(
        None, description="As POST /predict answers it; once it is read"
    )
    results: list[ResultReference] = Field(
        description="What there is of it; none but of state read"
    )


_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


@router.head(READINGS_PATH, include_in_schema=False)
@router.get(
    READINGS_PATH,
    summary="What was read of a film that was stored",
    response_class=Response,
    responses=describe_problems(
        *ANY_CALL,
        InvalidParameter,
        ExchangeOff,
        ReadingUnknown,
        ResultAbsent,
        NotAcceptable,
        ReadingGone,
        QueueAway,
    )
    | {
        200: {
            "description": "What is known of it, or the object that is wanted, as it is delivered",
            "model": FilmReading,
            "content": dict.fromkeys(_TYPES, _BINARY),
        },
        202: {"description": "It waits; ask again after Retry-After", "model": FilmReading},
    },
    openapi_extra={
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "SOP Instance UID of the film, or its id",
                "schema": {"type": "string"},
            },
            {
                "name": "kind",
                "in": "query",
                "description": "Which object is wanted: a structured report, a picture (both "
                "application/dicom), FHIR, HL7 v2. If missing, Accept decides: of "
                "application/dicom the structured report",
                "schema": {"type": "string", "enum": list(_TYPES_OF)},
            },
        ]
    },
)
async def film_reading(request: Request) -> Response:
    """Answer by Accept: JSON, FHIR, a DICOM SR or picture, HL7 v2; the bytes that are delivered.

    A film that waits is 202 whatever is wanted.
    """
    outbox = outbox_of(request)
    kind, media_type = _choose(request)
    stored = await asyncio.to_thread(_find, outbox, str(request.path_params["id"]))
    language = record_of(request.scope).language
    if stored.state == "waiting" or kind is None:
        return _tell(stored, language)
    result = stored.results.get(kind)
    if result is None:
        raise ResultAbsent(state=stored.state)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(result.data, media_type=media_type, headers=headers)


def outbox_of(request: Request) -> "Outbox":
    """Return this process's queue.

    Raises
    ------
    ExchangeOff
    """
    if request.app.state.outbox is None:
        raise ExchangeOff
    return cast("Outbox", request.app.state.outbox)


def _choose(request: Request) -> tuple[Kind | None, str]:
    """Return which object is wanted, None for JSON, and the media type to send it as."""
    asked = request.query_params.get("kind")
    kind = next((each for each in _TYPES_OF if each == asked), None)
    if asked is not None and kind is None:
        raise InvalidParameter(parameter="kind")
    offered = (_JSON, *_TYPES) if kind is None else _TYPES_OF[kind]
    media_type = choose_media_type(request.headers.get("accept"), offered)
    if media_type is None:
        raise NotAcceptable(types=", ".join(offered))
    return kind or _TYPES.get(media_type), media_type


def _find(outbox: "Outbox", name: str) -> "StoredReading":
    """Return what is kept of a film."""
    try:
        stored = outbox.reading(name)
    except FilmLost:
        raise ReadingGone from None
    if stored is None:
        raise ReadingUnknown
    if stored.state == "read" and stored.reading is None:  # made room for others
        raise ReadingGone
    return stored


def _tell(stored: "StoredReading", language: Language) -> Response:
    """Return what is known of a film, as JSON; its reading as it was written down."""
    told: dict[str, Any] = {
        "id": stored.film_id,
        "state": stored.state,
        "received_at": stored.received_at.isoformat(timespec="milliseconds"),
    }
    if stored.code is not None:
        title = title_of(stored.code, language)
        told |= {"code": stored.code} | ({"title": title} if title else {})
    if stored.reading is not None:
        told["reading"] = json.loads(stored.reading)
    told["results"] = [
        {"kind": kind, "uid": result.uid, "media_type": result.media_type}
        for kind in _TYPES_OF
        if (result := stored.results.get(kind)) is not None
    ]
    waits = stored.state == "waiting"
    headers = answer_headers(language) | {"Vary": "Accept, Accept-Language"}
    return Response(
        json.dumps(told, ensure_ascii=False),
        status_code=202 if waits else 200,
        media_type=_JSON,
        headers=headers | ({"Retry-After": _RETRY_AFTER_S} if waits else {}),
    )
