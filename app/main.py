"""The application: everything built from settings in one place, and handed down."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from app import __version__
from app.access.access import Access
from app.access.rates import RateTable
from app.errors import InvalidParameter, Malformed
from app.http.answer import error_of_framework
from app.http.dicomweb import film_readings, store_instances
from app.http.front.cors import Cors, Origins
from app.http.front.envelope import Envelope
from app.http.front.gate import BodyRules, Gate
from app.http.front.guard import Guard
from app.http.openapi import describe_access
from app.http.pages import docs_page, front_page
from app.http.route_scopes import RouteScopes
from app.http.route_table import RouteTable
from app.http.routes import explain, feedback, model_card, predict, preview
from app.http.v2 import infer, served_models
from app.http.watch import health, live_performance, model_admin, prometheus
from app.render.wording import NOT_A_DEVICE, RESEARCH_ONLY
from app.service.active.model_roster import SharedModels
from app.service.service import LoadModel, Service, load_model_from
from app.settings.settings import Settings

if TYPE_CHECKING:
    from app.records.outbox.outbox import Outbox
    from app.records.records import Records
    from app.service.tracing import OpenTelemetryTracer

_log = logging.getLogger("neumo.main")

_DESCRIPTION = (
    f"**{NOT_A_DEVICE.en}** {RESEARCH_ONLY.en}\n\n"
    "Reads chest X-rays: normal, COVID-19, bacterial or viral pneumonia. Decision support, not a "
    "diagnosis: *normal* means none of the three others, not healthy. Every failure is "
    "`application/problem+json` (RFC 9457) with a stable `code`. Below `/v2` it speaks the Open "
    "Inference Protocol too, which has a description of its own."
)


def create_app(
    settings: Settings | None = None,
    load_model: LoadModel = load_model_from,
    on_failure: Callable[[], None] = lambda: None,
    *,
    load_before_serving: bool = False,
    rates: RateTable | None = None,
    shared_models: SharedModels | None = None,
    row: int = 0,
) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings : read from the environment where missing
    load_model : makes the model, on a thread
    on_failure : called if the model can't be served; the process should end then
    load_before_serving : or else it answers at once, and says that it isn't ready
    rates : that are counted together with other processes'
    shared_models, row : what the workers of a service share of their models, and this one's row

    Raises
    ------
    AccessError : if it is not set who gets in
    ExchangeError : if the queue of films and results can't be used
    BundleError : if which model was chosen can't be read
    """
    settings = settings or Settings()
    access = Access.of(settings, rates)
    service = Service(settings, load_model, on_failure, shared_models, row)
    records = _open_records(settings, service)
    outbox = _open_outbox(settings)
    tracer = _open_tracer(settings)
    app = FastAPIOffline(
        title="Neumo",
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,  # `docs_page` is, with the files that this serves
        redoc_url=None,
        static_url=docs_page.STATIC_PATH,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        generate_unique_id_function=lambda route: route.name,  # operation ids: predict, explain
        redirect_slashes=False,  # to what Host says, and to http:// behind a proxy with TLS
        lifespan=partial(_lifespan, service, records, outbox, tracer, load_before_serving),
    )
    work = [predict.router, explain.router, preview.router, infer.router]
    other = [
        health.router,
        model_card.router,
        model_admin.router,
        prometheus.router,
        docs_page.router,
        front_page.router,
        feedback.router,
        live_performance.router,
        served_models.router,
        store_instances.router,
        film_readings.router,
    ]
    routes = RouteTable.of(work=work, other=other, root_path=settings.root_path)
    app.state.service, app.state.routes, app.state.records = service, routes, records
    app.state.outbox = outbox
    if outbox is not None:
        _count_queue(outbox, settings, service)
    for router in (*work, *other):
        app.include_router(router)
    route_scopes = RouteScopes.of([*work, *other], app.routes)
    describe_access(app, route_scopes, asked=not access.open)
    # Errors are raised through to the envelope: there each becomes an answer, in one place.
    app.add_exception_handler(HTTPException, _raise_as_ours)
    app.add_exception_handler(RequestValidationError, _raise_invalid)
    app.add_middleware(
        Gate,
        rules=BodyRules(
            max_bytes=settings.max_body_bytes,
            max_bytes_by_path=dict.fromkeys(
                (
                    "/predict/batch",
                    *infer.INFER_PATHS,
                    store_instances.STUDIES_PATH,
                    store_instances.STUDY_PATH,
                ),
                settings.max_batch_body_bytes,
            ),
            timeout_s=settings.body_timeout_s,
            min_bytes_per_s=settings.min_body_bytes_per_s,
        ),
        admission=service.admission,
        check_ready=service.check_work,
        work_paths=routes.work_paths,
        declared_path=routes.declared_path,
    )
    app.add_middleware(
        Guard, access=access, route_scopes=route_scopes, metrics=service.metrics
    )  # in front of the body
    app.add_middleware(Cors, origins=Origins(settings.allowed_origins), methods=routes.methods)
    app.add_middleware(  # last added, outermost
        Envelope, metrics=service.metrics, routes=routes, tracer=tracer
    )
    return app


@asynccontextmanager
async def _lifespan(
    service: Service,
    records: "Records | None",
    outbox: "Outbox | None",
    tracer: "OpenTelemetryTracer | None",
    load_before_serving: bool,
    _: FastAPI,
) -> AsyncIterator[None]:
    if records is not None:
        records.trail.start()

    async def run() -> None:
        if not load_before_serving:
            await service.start()
        await service.follow()

    if load_before_serving:
        await service.start()
    running = asyncio.create_task(run())
    yield
    running.cancel()
    await asyncio.to_thread(service.stop)
    if records is not None:
        await asyncio.to_thread(records.trail.stop)
    if outbox is not None:
        await asyncio.to_thread(outbox.close)
    if tracer is not None:
        await asyncio.to_thread(tracer.stop)


def _open_records(settings: Settings, service: Service) -> "Records | None":
    """Open the audit trail, if there is to be one, and let it see what is read."""
    if not settings.audit_folder:
        return None
    from app.records.records import Records  # noqa: PLC0415 - a database is not always wanted

    records = Records(settings, service.metrics.registry, lambda: service.reader)
    service.witness = records.trail
    service.models.listeners.append(records.trail.saw_comparison)
    return records


def _open_outbox(settings: Settings) -> "Outbox | None":
    """Open the queue of films and results, if there is to be one.

    Raises
    ------
    ExchangeError
    """
    if not settings.exchange_folder:
        return None
    from app.exchange.partners.partner_address import parse_partners  # noqa: PLC0415
    from app.records.outbox.outbox import Outbox  # noqa: PLC0415 - not always wanted

    parse_partners(settings.partners)  # a wrong one is told before anything waits for it
    return Outbox.of(settings)


def _count_queue(outbox: "Outbox", settings: Settings, service: Service) -> None:
    """Tell with the metrics what waits in the queue."""
    from app.exchange.exchange_metrics import QueueCollector  # noqa: PLC0415 - not always wanted

    service.metrics.add(QueueCollector(outbox, settings))


def _open_tracer(settings: Settings) -> "OpenTelemetryTracer | None":
    """Begin to send traces, if they are asked for; it serves without them too."""
    if not settings.traces():
        return None
    try:
        from app.service.tracing import OpenTelemetryTracer  # noqa: PLC0415 - seldom wanted
    except ModuleNotFoundError:
        _log.error("no traces are sent: pip install neumo[otel]")
        return None
    return OpenTelemetryTracer(settings.otlp_endpoint)


async def _raise_as_ours(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette dispatches by this type
    raise error_of_framework(error) from None


async def _raise_invalid(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette dispatches by this
    where = error.errors()[0]["loc"]
    if where[0] == "query":  # the names are those that a route declares
        raise InvalidParameter(parameter=str(where[1])) from None
    raise Malformed from None
