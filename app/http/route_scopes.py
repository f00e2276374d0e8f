"""Which scope each call needs, in one table; a call that it does not name stops the start."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Self

from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Route, compile_path

from app.access.caller import Scope
from app.http.pages.docs_page import STATIC_PATH
from app.http.pages.front_page import PATHS as PAGE_PATHS

OPEN: Final = None
"""Anybody may ask: it tells nothing that is not public."""

ROUTE_SCOPES: Final[Mapping[str, Scope | None]] = MappingProxyType(
    {
        "/predict": "predict",
        "/predict/batch": "predict",
        "/explain": "predict",
        "/preview": "predict",
        "/model": "predict",
        "/models": "predict",
        "/admin/models/rollback": "admin",
        "/admin/models/{name}/activate": "admin",
        "/dicomweb/studies": "predict",
        "/dicomweb/studies/{study_uid}": "predict",
        "/readings/{id}": "predict",
        "/feedback/{request_id}": "feedback",
        "/performance": "metrics",
        "/metrics": "metrics",
        "/health/live": OPEN,
        "/health/ready": OPEN,
        "/health/startup": OPEN,
        "/v2": "predict",
        "/v2/health/live": OPEN,
        "/v2/health/ready": OPEN,
        "/v2/models/{model_name}": "predict",
        "/v2/models/{model_name}/ready": "predict",
        "/v2/models/{model_name}/infer": "predict",
        "/v2/models/{model_name}/versions/{model_version}": "predict",
        "/v2/models/{model_name}/versions/{model_version}/ready": "predict",
        "/v2/models/{model_name}/versions/{model_version}/infer": "predict",
        "/docs": OPEN,
        "/openapi.json": OPEN,
        STATIC_PATH: OPEN,
        **dict.fromkeys(PAGE_PATHS, OPEN),
    }
)
"""By a route's path as it is declared, or the folder that is mounted."""


class UnknownRoute(LookupError):
    """No route has this path."""


class RouteScopes:
    """Finds the scope that a request's path needs.

    What it does not know has no scope, and is not served: see `app.http.front.guard`.

    Parameters
    ----------
    declared : by a route's path as it is declared
    mounted : those of them below which there are files
    """

    def __init__(self, declared: Mapping[str, Scope | None], mounted: Iterable[str] = ()) -> None:
        self.declared = declared
        self._mounted = [(f"{path}/", declared[path]) for path in mounted]
        self._exact = {path: scope for path, scope in declared.items() if "{" not in path}
        self._shaped: list[tuple[re.Pattern[str], Scope | None]] = [
            (compile_path(path)[0], scope) for path, scope in declared.items() if "{" in path
        ]
        for path in mounted:
            del self._exact[path]

    @classmethod
    def of(
        cls,
        routers: Iterable[APIRouter],
        routes: Iterable[BaseRoute],
        declared: Mapping[str, Scope | None] = ROUTE_SCOPES,
    ) -> Self:
        """Look up every route that is served.

        Parameters
        ----------
        routers : that the application includes
        routes : that it has beside them

        Raises
        ------
        RuntimeError : for a route that `declared` does not name
        """
        served = [route for router in routers for route in router.routes]
        served += [route for route in routes if isinstance(route, Route | Mount)]
        paths = {route.path: route for route in served if isinstance(route, Route | Mount)}
        forgotten = sorted(set(paths) - set(declared))
        if forgotten:
            raise RuntimeError(f"name the scope of {forgotten} in app/http/route_scopes.py")
        mounted = [path for path, route in paths.items() if isinstance(route, Mount)]
        return cls({path: declared[path] for path in paths}, mounted)

    def scope_of(self, path: str) -> Scope | None:
        """Return the scope that a path needs; `OPEN` if none.

        Raises
        ------
        UnknownRoute
        """
        if path in self._exact:
            return self._exact[path]
        for shape, scope in self._shaped:
            if shape.match(path):
                return scope
        for folder, scope in self._mounted:
            if path.startswith(folder):
                return scope
        raise UnknownRoute
