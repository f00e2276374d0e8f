"""``POST /explain``: where in the image the network found what speaks for a label."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.errors import InvalidParameter
from app.http.dependencies import OrderDep, service_of
from app.http.gate import claim_of
from app.http.openapi import ANY_UPLOAD, ONE_FILE, ONE_IMAGE, SUBJECT_QUERY, with_query
from app.http.problem_responses import describe_problems
from app.http.upload import read_upload
from app.language import answer_headers
from app.model.labels import LabelId
from app.render.overlay import DEFAULT_ALPHA
from app.render.reading_json import Explanation

router = APIRouter(tags=["predict"])


@router.post(
    "/explain",
    summary="Show where a label comes from",
    response_class=Response,
    responses=describe_problems(InvalidParameter, *ANY_UPLOAD, *ONE_IMAGE)
    | {
        200: {
            "description": "The map laid over the image, or its numbers",
            "content": {
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": Explanation.model_json_schema()},
            },
        }
    },
    openapi_extra=with_query(ONE_FILE, SUBJECT_QUERY),
)
async def explain(
    request: Request,
    order: OrderDep,
    label: Annotated[LabelId | None, Query(description="Missing: the label called")] = None,
    alpha: Annotated[float, Query(ge=0, le=1, description="Strength of the colours")] = (
        DEFAULT_ALPHA
    ),
    format: Annotated[  # noqa: A002 - the parameter's name in the query
        Literal["png", "json"], Query(description="The picture, or the 7 x 7 numbers")
    ] = "png",
) -> Response:
    """Answer with the class activation map of a label, from the same forward pass as /predict."""
    service, claim = service_of(request), claim_of(request.scope)
    reader = service.reader
    data, subject = await read_upload(request)
    order = order.of(subject)
    headers = answer_headers(order.language)
    if format == "json":
        explain_it = partial(reader.explain, data, order, label)
        explanation = await service.admission.run(explain_it, claim)
        return Response(
            explanation.model_dump_json(), media_type="application/json", headers=headers
        )
    draw_it = partial(reader.draw, data, order, label, alpha)
    png = await service.admission.run(draw_it, claim)
    return Response(png, media_type="image/png", headers=headers)
