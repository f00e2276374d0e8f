"""``GET /model``: the card of the served model."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import NotReady
from app.http.body.upload import service_of
from app.http.openapi import ANY_CALL, describe_problems
from app.model.card import Card

router = APIRouter(tags=["model"])


@router.head("/model", include_in_schema=False)
@router.get(
    "/model",
    summary="The model's card",
    response_model=Card,
    responses=describe_problems(*ANY_CALL, NotReady),
)
async def model(request: Request) -> Response:
    """Answer with card.json: intended use, data, figures with intervals, hash, known answers."""
    return Response(service_of(request).reader.model.card_json, media_type="application/json")
