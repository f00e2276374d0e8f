"""``POST /predict`` and ``POST /predict/batch``: images in, Readings out.

Each endpoint takes the request alone, so that `app.http.direct` can call it.
"""

import asyncio
import logging
from functools import partial

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.errors import InternalError, InvalidParameter, RequestError
from app.http.dependencies import order_of, service_of
from app.http.envelope import record_of
from app.http.gate import claim_of
from app.http.openapi import (
    ANY_UPLOAD,
    HEATMAP_QUERY,
    MANY_FILES,
    ONE_FILE,
    ONE_IMAGE,
    SUBJECT_QUERY,
    with_query,
)
from app.http.problem_responses import describe_problems
from app.http.upload import read_flag, read_upload, read_uploads
from app.language import answer_headers
from app.reading.reader import Order, Reader
from app.render.reading_json import SCHEMA_VERSION, BatchAnswer, Problem, Reading
from app.service.admission import Claim
from app.service.service import Service

_log = logging.getLogger("neumo.predict")

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    summary="Read one chest X-ray",
    response_model=Reading,
    responses=describe_problems(InvalidParameter, *ANY_UPLOAD, *ONE_IMAGE),
    openapi_extra=with_query(ONE_FILE, SUBJECT_QUERY, HEATMAP_QUERY),
)
async def predict(request: Request) -> Response:
    """Answer with the Reading of one JPEG or PNG: form field `file`, or the raw body.

    The content decides the format, not a name or a header.
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    reader = service.reader
    order, heatmap = order_of(request), read_flag(request.query_params, "heatmap")
    data, subject = await read_upload(request)
    reading = await service.admission.run(
        partial(reader.read, data, order.of(subject), heatmap=heatmap), claim
    )
    service.metrics.count_reading(reading)
    record.stages_ms = _stages([reading])
    return _json(reading, order)


@router.post(
    "/predict/batch",
    summary="Read several chest X-rays",
    response_model=BatchAnswer,
    responses=describe_problems(InvalidParameter, *ANY_UPLOAD),
    openapi_extra=with_query(MANY_FILES, SUBJECT_QUERY),
)
async def predict_batch(request: Request) -> Response:
    """Answer with a Reading or a Problem for each form field `file` or `files`, in order.

    `age_years` and `view` hold for all of them: send what differs in calls of its own.
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    reader = service.reader
    order = order_of(request)
    files, subject = await read_uploads(request, service.settings.max_batch_files)
    order = order.of(subject)
    # No more of a batch than can be read at once waits at once: others come in between.
    turns = asyncio.Semaphore(service.settings.reader_threads)

    async def read_in_turn(file: bytes) -> Reading | Problem:
        async with turns:
            return await _read_or_explain(service, reader, file, order, claim)

    results = await asyncio.gather(*(read_in_turn(file) for file in files))
    record.stages_ms = _stages([result for result in results if isinstance(result, Reading)])
    answer = BatchAnswer(
        request_id=order.request_id, schema_version=SCHEMA_VERSION, results=results
    )
    return _json(answer, order)


async def _read_or_explain(
    service: Service, reader: Reader, data: bytes, order: Order, claim: Claim
) -> Reading | Problem:
    try:
        reading = await service.admission.run(partial(reader.read, data, order), claim)
    except ClientDisconnect:
        raise
    except RequestError as error:
        refusal = error
    except Exception:  # noqa: BLE001 - one file's failure must not cost the others their Readings
        _log.exception("file failed", extra={"members": {"request_id": order.request_id}})
        refusal = InternalError()
    else:
        service.metrics.count_reading(reading)
        return reading
    service.metrics.count_refusal(refusal.code)
    return Problem.model_validate(refusal.problem(order.request_id, order.language))


def _stages(readings: list[Reading]) -> dict[str, float]:
    times = [reading.timing_ms for reading in readings]
    return {
        "decode": round(sum(time.decode for time in times), 3),
        "inference": round(sum(time.inference for time in times), 3),
    }


def _json(answer: Reading | BatchAnswer, order: Order) -> Response:
    return Response(
        answer.model_dump_json(exclude_none=True),
        media_type="application/json",
        headers=answer_headers(order.language),
    )
