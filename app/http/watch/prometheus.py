"""``GET /metrics``: Prometheus."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.http.body.upload import service_of
from app.http.openapi import ANY_CALL, describe_problems

router = APIRouter(tags=["metrics"])


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses=describe_problems(*ANY_CALL)
    | {
        200: {
            "description": "The metrics, as text; in OpenMetrics if the header Accept asks for it",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        }
    },
)
async def metrics(request: Request) -> Response:
    """Answer with what all workers did, and which models they hold."""
    render = service_of(request).metrics.render_as
    # It reads files of every worker: not on the loop that answers.
    text, media_type = await asyncio.to_thread(render, request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type, "Vary": "Accept"})
