"""``POST /explain``: where in the image the network found what speaks for a label."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.http.answer import answer_headers
from app.http.body.upload import read_upload, service_of
from app.http.front.envelope import record_of
from app.http.front.gate import claim_of
from app.http.openapi import (
    ANY_UPLOAD,
    IMAGE_QUERY,
    ONE_FILE,
    ONE_IMAGE,
    SUBJECT_QUERY,
    describe_problems,
    with_query,
)
from app.http.origin import origin_of
from app.http.parameters import IMAGE_PARAMETERS, read_window, read_with_uid
from app.model.labels import LabelId
from app.render.overlay import DEFAULT_ALPHA, render_overlay
from app.render.reading_json import Explanation, render_explanation
from app.service.trace import noting

router = APIRouter(tags=["predict"])


@router.post(
    "/explain",
    summary="Show where a label comes from",
    response_class=Response,
    responses=describe_problems(*ANY_UPLOAD, *ONE_IMAGE)
    | {
        200: {
            "description": "The film, beside it the map laid over it, and a legend; or the map's "
            "numbers. If the label called is normal and no label was asked for, the film and the "
            "legend alone: normal is the absence of the others, and has no place in the film",
            "content": {
                "image/png": {"schema": {"type": "string", "format": "binary"}},
            },
            "model": Explanation,  # FastAPI adds it to the content, as application/json
        }
    },
    openapi_extra=with_query(ONE_FILE, SUBJECT_QUERY, IMAGE_QUERY),
)
async def explain(
    request: Request,
    label: Annotated[LabelId | None, Query(description="Missing: the label called")] = None,
    alpha: Annotated[
        float, Query(ge=0, le=1, description="Strength of the colours of a label of 100 %")
    ] = (DEFAULT_ALPHA),
    format: Annotated[  # noqa: A002 - the parameter's name in the query
        Literal["png", "json"], Query(description="The picture, or the numbers")
    ] = "png",
) -> Response:
    """Answer with the class activation map of a label, from the same forward pass as /predict.

    Colours are as strong as the label is likely. The numbers are given of any label, also of
    `normal`; its picture is drawn only if it is asked for.
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    window, with_uid = read_window(request.query_params), read_with_uid(request.query_params)
    upload = await read_upload(request, query=("label", "alpha", "format", *IMAGE_PARAMETERS))
    origin = origin_of(request, upload)
    reading = await service.read(upload.files[0], upload.subjects[0], claim, window, origin)
    record.add_stages(reading)
    language = record.language
    with noting(record.trace, "render"):
        if format == "json":
            media_type = "application/json"
            content = await service.render(
                lambda: (
                    render_explanation(
                        reading,
                        record.request_id,
                        language,
                        label,
                        remarks=upload.remarks,
                        with_uid=with_uid,
                    )
                    .model_dump_json(exclude_none=True)
                    .encode()
                ),
                claim,
            )
        else:
            media_type = "image/png"
            content = await service.render(
                lambda: render_overlay(reading, language, label, alpha), claim
            )
    return Response(content, media_type=media_type, headers=answer_headers(language))
