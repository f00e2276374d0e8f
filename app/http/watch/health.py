"""``GET /health/*``: 200, or 503 as a problem; never a 200 with a doubt in it."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from app.errors import NotReady, RecordsFull
from app.http.body.upload import service_of
from app.http.openapi import ANY_CALL, describe_problems
from app.service.service import Phase

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """The state of this process."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok"] = Field(description="Anything else is a problem with status 503")


@router.head("/live", include_in_schema=False)
@router.get("/live", summary="The process answers", responses=describe_problems(*ANY_CALL))
async def live() -> Health:
    """Answer 200 while the event loop turns. If it doesn't: restart the container."""
    return Health(status="ok")


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    summary="A Reading can be had now",
    responses=describe_problems(*ANY_CALL, NotReady, RecordsFull),
)
async def ready(request: Request) -> Health:
    """Answer 200 from the model's known answers on until SIGTERM. If not: send no traffic.

    Overload does not make a service unready: with every replica overloaded, none would be left.
    What is too much is refused request by request. Nor does a database that is away: only an audit
    trail that can't be written, where the settings ask for that.
    """
    if service_of(request).phase is not Phase.READY:
        raise NotReady
    service_of(request).witness.check()
    return Health(status="ok")


@router.head("/startup", include_in_schema=False)
@router.get(
    "/startup", summary="The model is loaded", responses=describe_problems(*ANY_CALL, NotReady)
)
async def startup(request: Request) -> Health:
    """Answer 200 once the model was loaded and gave its known answers."""
    if service_of(request).phase not in (Phase.READY, Phase.DRAINING, Phase.STOPPING):
        raise NotReady
    return Health(status="ok")
