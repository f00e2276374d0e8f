"""``GET /models`` and ``POST /admin/models/...``: which models there are, and which one reads."""

from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.errors import (
    ModelNotUsable,
    ModelUnknown,
    NeumoError,
    NoFormerModel,
    NotReady,
    SwitchFailed,
    SwitchInProgress,
)
from app.http.body.upload import service_of
from app.http.front.envelope import record_of
from app.http.front.guard import caller_of
from app.http.openapi import ANY_CALL, describe_problems
from app.language import Language
from app.model.measured.acceptance_file import AcceptanceSummary
from app.service.active.model_roster import Held, ModelRoster, State
from app.service.service import Phase, Service
from app.service.witness import Origin

router = APIRouter(tags=["models"])

_NAME: Final = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "As GET /models names it",
    "schema": {"type": "string"},
}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class HeldModel(_Answer):
    """One bundle that the service holds."""

    name: str = Field(description="Its folder's: what calls name it by")
    state: State = Field(
        description="active: answers; shadow: reads along; loaded: can be switched to; failed: "
        "can't, in one worker at least"
    )
    card_name: str | None = Field(None, description="On its card; answers give it")
    version: str | None = Field(None, description="On its card")
    sha256: str | None = Field(None, description="Of model.onnx")
    signed_by: str | None = Field(
        None, description="Id of the key whose signature was checked; absent: none was"
    )
    acceptance: AcceptanceSummary | None = Field(
        None, description="The hospital's own measurement of it; absent without one"
    )
    failure: str | None = Field(None, description="Code of what it failed with, if it did")
    failure_detail: str | None = Field(None, description="The same in words, with what to do")
    workers: int = Field(description="How many workers have it loaded")
    memory_bytes: int = Field(
        description="Resident memory that loading it took, in the worker that answers; what the "
        "first one needs of libraries counts there"
    )


class HeldModels(_Answer):
    """All bundles, in the order of the settings."""

    active: str = Field(description="The one that answers")
    former: str | None = Field(None, description="The one before it; rollback goes there")
    switches: int = Field(description="How often the active one changed since the start")
    workers: int = Field(description="How many workers there are")
    kept: bool = Field(
        description="Whether a switch outlives a restart (NEUMO_MODEL_CHOICE); if not, the next "
        "start serves NEUMO_MODEL"
    )
    models: list[HeldModel] = Field(description="One for each bundle")


@router.head("/models", include_in_schema=False)
@router.get(
    "/models",
    summary="The models that the service holds",
    response_model=HeldModels,
    responses=describe_problems(*ANY_CALL, NotReady),
)
async def models(request: Request) -> Response:
    """Answer with each bundle: its state, its hash, what it failed with, the memory it takes."""
    return _answer(request)


@router.post(
    "/admin/models/{name}/activate",
    summary="Let another model answer",
    response_model=HeldModels,
    responses=describe_problems(
        *ANY_CALL, ModelUnknown, ModelNotUsable, SwitchInProgress, NotReady, SwitchFailed
    ),
    # Not a parameter of the function: FastAPI would describe a problem that isn't Neumo's.
    openapi_extra={"parameters": [_NAME]},
)
async def activate_model(request: Request) -> Response:
    """Switch every worker to the model, or none: each has to give its known answers first.

    Answers once all have switched. What is being read meanwhile is finished by the model that it
    was begun with. To name the active one changes nothing.
    """
    name = request.path_params["name"]
    await _ready(request).models.activate(name, caller_of(request.scope).name)
    _write_down(request)
    return _answer(request)


@router.post(
    "/admin/models/rollback",
    summary="Let the model before answer again",
    response_model=HeldModels,
    responses=describe_problems(
        *ANY_CALL, NoFormerModel, ModelNotUsable, SwitchInProgress, NotReady, SwitchFailed
    ),
)
async def roll_back_model(request: Request) -> Response:
    """Switch back to the model that answered before; a second call undoes the first."""
    await _ready(request).models.roll_back(caller_of(request.scope).name)
    _write_down(request)
    return _answer(request)


def _write_down(request: Request) -> None:
    """Write down, where records are kept, who made which model the active one."""
    if request.app.state.records is not None:
        card, scope = _ready(request).reader.model.card, request.scope
        origin = Origin(record_of(scope).request_id, caller_of(scope).name, scope["route"].path)
        trail = request.app.state.records.trail
        trail.append("switch", origin, model=card.name, model_sha256=card.sha256)


def _ready(request: Request) -> Service:
    service = service_of(request)
    if service.phase is not Phase.READY:
        raise NotReady
    return service


def _answer(request: Request) -> Response:
    service, language = service_of(request), record_of(request.scope).language
    if service.models.reader is None:
        raise NotReady
    told = _describe(service.models, language, kept=bool(service.settings.model_choice))
    return Response(told.model_dump_json(exclude_none=True), media_type="application/json")


def _describe(roster: ModelRoster, language: Language, *, kept: bool) -> HeldModels:
    decision = roster.shared.board.decision
    active = roster.name_at(decision.active)
    return HeldModels(
        active=str(active),
        former=roster.name_at(decision.former),
        switches=decision.generation,
        workers=len(roster.shared.processes.rows()),
        kept=kept,
        models=[_describe_one(held, language) for held in roster.held()],
    )


def _describe_one(held: Held, language: Language) -> HeldModel:
    entry, reader = held.entry, held.reader
    card = entry.model.card if entry.model else None
    failure = entry.failure
    detail = None
    if failure is not None:
        detail = failure.detail(language) if isinstance(failure, NeumoError) else None
    return HeldModel(
        name=entry.name,
        state=held.state,
        card_name=card.name if card else None,
        version=card.version if card else None,
        sha256=card.sha256 if card else None,
        signed_by=getattr(entry.model, "signed_by", None),
        acceptance=reader.acceptance.summary if reader and reader.acceptance else None,
        failure=entry.code,
        failure_detail=detail,
        workers=held.workers,
        memory_bytes=entry.memory_bytes,
    )
