"""What routers are handed for a request, out of what `create_app` built."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.envelope import Record, record_of
from app.reader import Order
from app.service import Service


def get_service(request: Request) -> Service:
    """Return this process's service."""
    return cast(Service, request.app.state.service)


def get_record(request: Request) -> Record:
    """Return what the log and the metrics will tell of this request."""
    return record_of(request.scope)


def get_order(record: Annotated[Record, Depends(get_record)]) -> Order:
    """Return who asks for a Reading."""
    return Order(record.request_id, record.language, record.started_s)


ServiceDep = Annotated[Service, Depends(get_service)]
RecordDep = Annotated[Record, Depends(get_record)]
OrderDep = Annotated[Order, Depends(get_order)]
