"""``POST /v2/models/{model_name}/infer``: images as tensors in, Readings as tensors out."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.errors import RequestError
from app.http.answer import answer_headers
from app.http.body.upload import Upload, media_type_of, service_of
from app.http.front.envelope import record_of
from app.http.front.gate import claim_of
from app.http.origin import origin_of
from app.http.parameters import read_window
from app.http.v2.infer_request import InferRequest, read_infer_request
from app.http.v2.infer_response import JSON_LENGTH, render_infer_response
from app.http.v2.served_models import reader_of
from app.reading.reading import Reading

INFER_PATHS: Final = (
    "/v2/models/{model_name}/infer",
    "/v2/models/{model_name}/versions/{model_version}/infer",
)

_QUICK_BYTES: Final = 2**20

# The protocol has a description of its own, so /docs has none of it.
router = APIRouter(include_in_schema=False)


@router.post(INFER_PATHS[0])
@router.post(INFER_PATHS[1])
async def infer(request: Request) -> Response:
    """Answer with the outputs asked for, a row for each image.

    A tensor has no row that is an error: the first image that can't be read fails the call, and
    the answer says which it was (`index`).
    """
    service, record, claim = service_of(request), record_of(request.scope), claim_of(request.scope)
    reader = reader_of(request)
    window = read_window(request.query_params)
    media_type_of(request)
    max_files = service.settings.max_batch_files
    body, length = await request.body(), request.headers.get(JSON_LENGTH)

    def parse() -> InferRequest:
        return read_infer_request(body, length, max_files)

    # What takes its time is parsed where images are read: this loop has others to answer.
    asked = parse() if len(body) <= _QUICK_BYTES else await service.render(parse, claim)
    upload = Upload(asked.files, asked.subjects, has_unknown_fields=False)
    # No more of a batch than can be read at once waits at once: others come in between.
    turns = asyncio.Semaphore(service.settings.reader_threads)
    failures: list[tuple[int, RequestError]] = []

    async def read_in_turn(index: int) -> Reading | None:
        async with turns:
            if failures:
                return None
            origin = origin_of(request, upload, index)
            try:
                reading = await service.read(
                    upload.files[index],
                    upload.subjects[index],
                    claim,
                    window,
                    origin,
                    reader=reader,
                )
            except RequestError as error:
                failures.append((index, error))
                return None
        record.add_stages(reading)
        return reading

    read = await asyncio.gather(*map(read_in_turn, range(len(upload.files))))
    if failures:
        index, error = failures[0]
        error.facts["index"] = index
        for _, other in failures[1:]:
            service.metrics.count_refusal(other.code)
        raise error
    readings = [reading for reading in read if reading is not None]
    name = str(request.path_params["model_name"])
    content, headers = render_infer_response(readings, asked, name, record.request_id)
    return Response(content, headers=answer_headers(record.language) | headers)
