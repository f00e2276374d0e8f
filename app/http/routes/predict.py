"""``POST /predict`` and ``POST /predict/batch``: images in, Readings out."""

import asyncio
import logging

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import CallerGone, InternalError, RequestError
from app.http.answer import answer_headers
from app.http.body.upload import read_upload, read_uploads, service_of
from app.http.front.envelope import record_of
from app.http.front.gate import claim_of
from app.http.openapi import (
    ANY_UPLOAD,
    HEATMAP_QUERY,
    IMAGE_QUERY,
    MANY_FILES,
    ONE_FILE,
    ONE_IMAGE,
    SUBJECT_QUERY,
    describe_problems,
    with_query,
)
from app.http.origin import origin_of
from app.http.parameters import IMAGE_PARAMETERS, read_flag, read_window, read_with_uid
from app.language import Language
from app.render.overlay import render_overlay
from app.render.problem import Problem, render_problem
from app.render.reading_json import (
    BatchAnswer,
    Reading,
    render_batch,
    render_reading,
)
from app.service.trace import noting

_log = logging.getLogger("neumo.predict")

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    summary="Read one chest X-ray",
    response_model=Reading,
    responses=describe_problems(*ANY_UPLOAD, *ONE_IMAGE),
    openapi_extra=with_query(ONE_FILE, SUBJECT_QUERY, IMAGE_QUERY, HEATMAP_QUERY),
)
async def predict(request: Request) -> Response:
    """Answer with the Reading of one JPEG, PNG or DICOM file: form field `file`, or the raw body.

    The content decides the format, not a name or a header.
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    heatmap = read_flag(request.query_params, "heatmap")
    window, with_uid = read_window(request.query_params), read_with_uid(request.query_params)
    upload = await read_upload(request, query=("heatmap", *IMAGE_PARAMETERS))
    origin = origin_of(request, upload)
    reading = await service.read(upload.files[0], upload.subjects[0], claim, window, origin)
    record.add_stages(reading)
    with noting(record.trace, "render"):
        png = None
        if heatmap:
            png = await service.render(lambda: render_overlay(reading, record.language), claim)
        answer = render_reading(
            reading,
            record.request_id,
            record.language,
            record.total_ms,
            remarks=upload.remarks,
            with_uid=with_uid,
            overlay_png=png,
        )
    return _json(answer, record.language)


@router.post(
    "/predict/batch",
    summary="Read several chest X-rays",
    response_model=BatchAnswer,
    responses=describe_problems(*ANY_UPLOAD),
    openapi_extra=with_query(MANY_FILES, SUBJECT_QUERY, IMAGE_QUERY),
)
async def predict_batch(request: Request) -> Response:
    """Answer with a Reading or a Problem for each form field `file` or `files`, in order.

    Each has its `index`. `age_years` and `view` are given once for all files, or once for each, in
    the files' order (empty: nothing is said of that one).
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    window, with_uid = read_window(request.query_params), read_with_uid(request.query_params)
    upload = await read_uploads(request, service.settings.max_batch_files, IMAGE_PARAMETERS)
    # No more of a batch than can be read at once waits at once: others come in between.
    turns = asyncio.Semaphore(service.settings.reader_threads)
    reader = service.reader  # one for all: the model may change meanwhile

    async def read_in_turn(index: int) -> Reading | Problem:
        try:
            async with turns:
                reading = await service.read(
                    upload.files[index],
                    upload.subjects[index],
                    claim,
                    window,
                    origin_of(request, upload, index),
                    reader=reader,
                )
        except CallerGone:
            raise
        except RequestError as error:
            refusal = error
        except Exception:  # noqa: BLE001 - one file's failure must not cost the others' Readings
            members = {"request_id": record.request_id}
            _log.exception("file failed", extra={"members": members})
            refusal = InternalError()
        else:
            record.add_stages(reading)
            return render_reading(
                reading,
                record.request_id,
                record.language,
                record.total_ms,
                index=index,
                remarks=upload.remarks,
                with_uid=with_uid,
            )
        service.metrics.count_refusal(refusal.code)
        return render_problem(refusal, record.request_id, record.language, index=index)

    results = await asyncio.gather(*map(read_in_turn, range(len(upload.files))))
    return _json(render_batch(record.request_id, results), record.language)


def _json(answer: Reading | BatchAnswer, language: Language) -> Response:
    return Response(
        answer.model_dump_json(exclude_none=True),
        media_type="application/json",
        headers=answer_headers(language),
    )
