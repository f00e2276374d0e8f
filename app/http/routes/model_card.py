"""``GET /model``: the card of the served model."""

from fastapi import APIRouter
from starlette.responses import Response

from app.errors import NotReady
from app.http.dependencies import ServiceDep
from app.http.problem_responses import describe_problems
from app.model.card import Card

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
