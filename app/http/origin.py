"""Where an image came from, as the audit trail tells it."""

from fastapi import Request

from app.http.body.upload import Upload
from app.http.front.envelope import record_of
from app.http.front.guard import caller_of
from app.service.witness import Origin


def origin_of(request: Request, upload: Upload, index: int = 0) -> Origin:
    """Return where an image of a request came from, as far as it may be written down."""
    return Origin(
        request_id=record_of(request.scope).request_id,
        caller=caller_of(request.scope).name,
        call=request.scope["route"].path,
        index=index,
        remarks=tuple(upload.remarks),
        trace=record_of(request.scope).trace,
    )
