"""What routers are handed for a request, out of what `create_app` built.

Each is `async`: FastAPI would call any other on a thread of its own, and three hops a request
cost more than all the rest of serving it. Routes that read images take them straight from the
request (`service_of`, `order_of`): see `app.http.direct`.
"""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.http.envelope import record_of
from app.http.upload import read_subject
from app.reading.judge import NOBODY
from app.reading.reader import Order
from app.service.service import Service


def service_of(request: Request) -> Service:
    """Return this process's service."""
    return cast(Service, request.app.state.service)


async def get_service(request: Request) -> Service:
    """Return this process's service."""
    return service_of(request)


def order_of(request: Request) -> Order:
    """Return who asks for a Reading, and of whom.

    Raises
    ------
    InvalidParameter
    """
    record = record_of(request.scope)
    subject = read_subject(request.query_params) if request.query_params else NOBODY
    return Order(record.request_id, record.language, record.started_s, subject)


async def get_order(request: Request) -> Order:
    """Return who asks for a Reading, and of whom."""
    return order_of(request)


ServiceDep = Annotated[Service, Depends(get_service)]
OrderDep = Annotated[Order, Depends(get_order)]
