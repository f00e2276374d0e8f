"""The paths the application knows: what may be named in a log, and what is work for the network."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fastapi import APIRouter
from starlette.routing import Route, compile_path


@dataclass(frozen=True, slots=True)
class RouteTable:
    """What every layer in front of the routes has to know of them.

    Parameters
    ----------
    methods : by path as it is declared, as the header Allow names them
    work_paths : those whose POST needs the model and a place in the queue
    root_path : that a proxy may have put before each path, and may have stripped; or empty
    shapes : of the paths that hold a parameter
    """

    methods: Mapping[str, str]
    work_paths: frozenset[str]
    root_path: str = ""
    shapes: tuple[tuple[re.Pattern[str], str], ...] = ()

    @classmethod
    def of(cls, *, work: list[APIRouter], other: list[APIRouter], root_path: str = "") -> Self:
        """Read the table off the routers."""
        methods: defaultdict[str, set[str]] = defaultdict(set)
        for route in _routes(*work, *other):
            methods[route.path] |= route.methods or set()
        return cls(
            methods={path: ", ".join(sorted(each)) for path, each in methods.items()},
            work_paths=frozenset(route.path for route in _routes(*work)),
            root_path=root_path,
            shapes=tuple((compile_path(path)[0], path) for path in methods if "{" in path),
        )

    def declared_path(self, path: str) -> str | None:
        """Return the path of a route as it is declared, whatever its parameters; None if none."""
        if path in self.methods:
            return path
        return next((declared for shape, declared in self.shapes if shape.match(path)), None)

    def own_path(self, path: str) -> str:
        """Return a request's path without the root path, if it begins with it."""
        below = path.removeprefix(self.root_path)
        return below if below.startswith("/") else path

    def work_targets(self) -> dict[bytes, str]:
        """Return the work paths that hold no parameter by what names them in a request line."""
        return {
            (root_path + path).encode(): path
            for root_path in ("", self.root_path)
            for path in self.work_paths
            if "{" not in path
        }


def _routes(*routers: APIRouter) -> list[Route]:
    routes = [route for router in routers for route in router.routes]
    return [route for route in routes if isinstance(route, Route)]
