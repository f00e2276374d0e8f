"""What routers are handed for a request, out of what `create_app` built.

Each is `async`: FastAPI would call any other on a thread of its own, and three hops a request
cost more than all the rest of serving it. Routes that answer for images take what needs no
declaring straight from the request (`service_of`): a dependency costs 30 us.
"""

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from app.card import View
from app.envelope import record_of
from app.reader import Order
from app.reading import Subject
from app.service import Service
from app.uploads import MAX_AGE_YEARS


def service_of(request: Request) -> Service:
    """Return this process's service."""
    return cast(Service, request.app.state.service)


async def get_service(request: Request) -> Service:
    """Return this process's service."""
    return service_of(request)


async def get_order(
    request: Request,
    age_years: Annotated[
        float | None, Query(ge=0, le=MAX_AGE_YEARS, description="The form's field wins")
    ] = None,
    view: Annotated[View | None, Query(description="The form's field wins")] = None,
) -> Order:
    """Return who asks for a Reading, and of whom."""
    record = record_of(request.scope)
    return Order(record.request_id, record.language, record.started_s, Subject(age_years, view))


ServiceDep = Annotated[Service, Depends(get_service)]
OrderDep = Annotated[Order, Depends(get_order)]
