"""``GET /performance``: what answers were worth, by the diagnoses that were confirmed later."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import InvalidParameter, NotReady, RecordsOff, RecordsUnavailable
from app.http.openapi import ANY_CALL, DAYS_QUERY, describe_problems
from app.http.parameters import read_number
from app.http.routes.feedback import records_of
from app.records.performance import Performance

router = APIRouter(tags=["records"])


@router.head("/performance", include_in_schema=False)
@router.get(
    "/performance",
    summary="What answers were worth",
    response_model=Performance,
    responses=describe_problems(
        *ANY_CALL, InvalidParameter, RecordsOff, NotReady, RecordsUnavailable
    ),
    openapi_extra={"parameters": DAYS_QUERY},
)
async def performance(request: Request) -> Response:
    """Answer with live sensitivity, specificity and calibration by label, with exact intervals.

    Of the model that is served, by POST /feedback, beside the hospital's acceptance.
    """
    days = read_number(request.query_params, "days")
    figures = await records_of(request).performance(days)
    return Response(
        figures.model_dump_json(),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
