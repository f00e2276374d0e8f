"""``GET /metrics``: Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.http.body.upload import service_of
from app.http.openapi import ANY_CALL, describe_problems
from app.service.telemetry import CONTENT_TYPE

router = APIRouter(tags=["metrics"])


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses=describe_problems(*ANY_CALL)
    | {
        200: {
            "description": "The metrics, as text",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format: requests, stage times, refusals, readings, model."""
    return Response(service_of(request).metrics.render(), headers={"Content-Type": CONTENT_TYPE})
