"""The application: everything built from settings in one place, and handed down."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from app import __version__
from app.errors import InvalidParameter, Malformed, MethodNotAllowed, RequestError
from app.http.direct import Direct
from app.http.envelope import Envelope, record_of
from app.http.gate import BodyRules, Gate
from app.http.routes import explain, health, model_card, predict, prometheus
from app.render.problem import error_for_status, problem_response
from app.service.service import LoadModel, Service, load_bundle
from app.settings import Settings

_DESCRIPTION = (
    "Reads chest X-rays: normal, COVID-19, bacterial or viral pneumonia. Decision support, not a "
    "diagnosis: *normal* means none of the three others, not healthy. Every failure is "
    "`application/problem+json` (RFC 9457) with a stable `code`."
)


def create_app(
    settings: Settings | None = None,
    load_model: LoadModel = load_bundle,
    on_failure: Callable[[], None] = lambda: None,
    *,
    load_before_serving: bool = False,
) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings : read from the environment where missing
    load_model : makes the model, on a thread
    on_failure : called if the model can't be served; the process should end then
    load_before_serving : or else it answers at once, and says that it isn't ready
    """
    settings = settings or Settings()
    service = Service(settings, load_model, on_failure)
    app = FastAPIOffline(
        title="Neumo",
        description=_DESCRIPTION,
        version=__version__,
        redoc_url=None,
        redirect_slashes=False,  # to what Host says, and to http:// behind a proxy with TLS
        lifespan=partial(_lifespan, service, load_before_serving),
    )
    app.state.service = service
    app.state.work_paths = _paths(predict.router, explain.router)
    routers = [module.router for module in (predict, explain, health, model_card, prometheus)]
    app.state.methods = _methods(*routers)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(RequestError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_middleware(
        Direct,
        endpoints={
            route.path: route.endpoint
            for route in predict.router.routes
            if isinstance(route, Route)
        },
        answer_error=_answer_error,
    )
    app.add_middleware(
        Gate,
        rules=BodyRules(
            max_bytes=settings.max_body_bytes,
            max_bytes_by_path={"/predict/batch": settings.max_batch_body_bytes},
            timeout_s=settings.body_timeout_s,
            min_bytes_per_s=settings.min_body_bytes_per_s,
        ),
        admission=service.admission,
        check_ready=lambda: service.reader,
        work_paths=app.state.work_paths,
    )
    paths = _paths(*routers)
    app.add_middleware(Envelope, metrics=service.metrics, paths=paths)  # last added, outermost
    return app


def _paths(*routers: APIRouter) -> frozenset[str]:
    return frozenset(route.path for route in _routes(*routers))


def _methods(*routers: APIRouter) -> dict[str, str]:
    """Return each path's methods, as the header Allow names them."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for route in _routes(*routers):
        methods[route.path] |= route.methods or set()
    return {path: ", ".join(sorted(each)) for path, each in methods.items()}


def _routes(*routers: APIRouter) -> list[Route]:
    routes = [route for router in routers for route in router.routes]
    return [route for route in routes if isinstance(route, Route)]


@asynccontextmanager
async def _lifespan(
    service: Service,
    load_before_serving: bool,
    _: FastAPI,
) -> AsyncIterator[None]:
    loading = asyncio.create_task(service.start())
    if load_before_serving:
        await loading
    yield
    loading.cancel()
    await asyncio.to_thread(service.stop)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 - Starlette dispatches by this type
    record = record_of(request.scope)
    record.code = error.code
    return problem_response(error, record.request_id, record.language)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette dispatches by this type
    answer = await _answer_error(request, error_for_status(error.status_code))
    answer.headers.update(error.headers or {})
    methods = request.app.state.methods.get(request.url.path)
    if answer.status_code == MethodNotAllowed.status and methods:
        answer.headers["Allow"] = methods  # Starlette names those of one route alone
    return answer


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette dispatches by this
    where = error.errors()[0]["loc"]
    if where[0] == "query":  # the names are those that a route declares
        return await _answer_error(request, InvalidParameter(parameter=str(where[1])))
    return await _answer_error(request, Malformed())
