"""What routers are handed for a request, out of what `create_app` built."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from app.admission import Claim
from app.card import View
from app.envelope import Record, record_of
from app.gate import claim_of
from app.reader import Order
from app.reading import Subject
from app.service import Service
from app.uploads import MAX_AGE_YEARS


def get_service(request: Request) -> Service:
    """Return this process's service."""
    return cast(Service, request.app.state.service)


def get_record(request: Request) -> Record:
    """Return what the log and the metrics will tell of this request."""
    return record_of(request.scope)


def get_claim(request: Request) -> Claim:
    """Return the place that this request was given at the gate."""
    return claim_of(request.scope)


def get_order(
    record: Annotated[Record, Depends(get_record)],
    age_years: Annotated[
        float | None, Query(ge=0, le=MAX_AGE_YEARS, description="The form's field wins")
    ] = None,
    view: Annotated[View | None, Query(description="The form's field wins")] = None,
) -> Order:
    """Return who asks for a Reading, and of whom."""
    return Order(record.request_id, record.language, record.started_s, Subject(age_years, view))


ServiceDep = Annotated[Service, Depends(get_service)]
RecordDep = Annotated[Record, Depends(get_record)]
ClaimDep = Annotated[Claim, Depends(get_claim)]
OrderDep = Annotated[Order, Depends(get_order)]
