"""Health checks: 200, or 503 as a problem; never a 200 with a doubt in it."""

from fastapi import APIRouter

from app.errors import NotReady
from app.http.dependencies import ServiceDep
from app.http.problem_responses import describe_problems
from app.render.reading_json import Health
from app.service.service import Phase

router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", summary="The process answers")
async def live() -> Health:
    """Answer 200 while the event loop turns. If it doesn't: restart the container."""
    return Health(status="ok")


@router.head("/ready", include_in_schema=False)
@router.get("/ready", summary="A Reading can be had now", responses=describe_problems(NotReady))
async def ready(service: ServiceDep) -> Health:
    """Answer 200 from the model's known answers on until SIGTERM. If not: send no traffic.

    Overload does not make a service unready: with every replica overloaded, none would be left.
    What is too much is refused request by request.
    """
    if service.phase is not Phase.READY:
        raise NotReady
    return Health(status="ok")


@router.head("/startup", include_in_schema=False)
@router.get("/startup", summary="The model is loaded", responses=describe_problems(NotReady))
async def startup(service: ServiceDep) -> Health:
    """Answer 200 once the model was loaded and gave its known answers."""
    if service.phase not in (Phase.READY, Phase.DRAINING, Phase.STOPPING):
        raise NotReady
    return Health(status="ok")
