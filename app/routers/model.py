"""``GET /model``: the card of the served model."""

from fastapi import APIRouter
from starlette.responses import Response

from app.card import Card
from app.dependencies import ServiceDep
from app.errors import NotReady
from app.routers.responses import describe_problems

router = APIRouter(tags=["model"])


@router.head("/model", include_in_schema=False)
@router.get(
    "/model",
    summary="The model's card",
    response_model=Card,
    responses=describe_problems(NotReady),
)
async def model(service: ServiceDep) -> Response:
    """Answer with card.json: intended use, data, figures with intervals, hash, known answers."""
    return Response(service.reader.model.card_json, media_type="application/json")
