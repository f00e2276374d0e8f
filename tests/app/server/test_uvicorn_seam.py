"""Every name of uvicorn that `app.server` leans on: a new uvicorn that lacks one is noticed.

pyproject.toml bounds uvicorn from above: raise the bound once this and the rest of the tests pass.
"""

import asyncio
import inspect
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.server.balance import ConnectionTable
from app.server.connection.connection import Connection
from app.server.uvicorn_server import Server
from app.server.worker import STARTUP_FAILURE
from app.settings.settings import Settings
from tests.conftest import ROOT

CONFIG_ARGUMENTS = (
    "app", "http", "ws", "workers", "log_config", "access_log", "server_header", "proxy_headers",
    "timeout_keep_alive", "timeout_graceful_shutdown",
)  # fmt: skip
AWAITED = ("startup", "on_tick", "shutdown")


async def nothing(scope: object, receive: object, send: object) -> None:
    """Stand for an application."""


class Silent(asyncio.Protocol):
    pass


def new_server() -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(nothing, http=Silent, ws="none", log_config=None, server_header=False)
    )


@pytest.mark.parametrize("name", CONFIG_ARGUMENTS)
def test_config_takes(name: str) -> None:
    assert name in inspect.signature(uvicorn.Config).parameters


@pytest.mark.parametrize(
    "name", ["loaded_app", "http_protocol_class", "timeout_keep_alive", "root_path", "asgi_version"]
)
def test_a_loaded_config_has(name: str) -> None:
    config = new_server().config
    config.load()
    assert hasattr(config, name)


def test_the_http_seam_is_handed_on_as_it_is() -> None:
    config = new_server().config
    config.load()
    assert config.http_protocol_class is Silent


def test_the_connection_takes_what_uvicorn_makes_its_own_with() -> None:
    source = inspect.getsource(uvicorn.Server.startup)
    (call,) = source.split("http_protocol_class(")[1:]
    given = [part.split("=")[0].strip() for part in call.split(")")[0].split("\n") if "=" in part]
    taken = list(inspect.signature(Connection).parameters)
    assert taken == ["rules", *given]


@pytest.mark.parametrize("name", ["connections", "tasks", "total_requests", "default_headers"])
def test_the_server_state_has(name: str) -> None:
    assert hasattr(ServerState(), name)


@pytest.mark.parametrize("name", ["config", "server_state", "should_exit", "started"])
def test_a_server_has(name: str) -> None:
    assert hasattr(new_server(), name)


@pytest.mark.parametrize("name", [*AWAITED, "handle_exit", "run"])
def test_a_server_calls(name: str) -> None:
    method = getattr(uvicorn.Server, name)
    assert inspect.iscoroutinefunction(method) == (name in AWAITED)


def test_the_arguments_of_what_is_overridden() -> None:
    arguments = {
        "startup": ["self", "sockets"],
        "shutdown": ["self", "sockets"],
        "on_tick": ["self", "counter"],
        "handle_exit": ["self", "sig", "frame"],
        "run": ["self", "sockets"],
    }
    for name, expected in arguments.items():
        assert list(inspect.signature(getattr(uvicorn.Server, name)).parameters) == expected


def test_uvicorn_keeps_the_date_and_asks_each_connection_to_end() -> None:
    """What `on_tick` and `shutdown` do beside what overrides them; and without a socket."""
    asked: list[str] = []

    class Asked:
        def shutdown(self) -> None:
            asked.append("shutdown")
            server.server_state.connections.clear()

    async def serve() -> None:
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[])
        assert server.started
        assert not await server.on_tick(0)
        server.should_exit = True
        assert await server.on_tick(1)
        server.server_state.connections.add(Asked())  # type: ignore[arg-type]
        await server.shutdown(sockets=[])

    server = new_server()
    asyncio.run(serve())
    assert [name for name, _ in server.server_state.default_headers] == [b"date"]
    assert asked == ["shutdown"]


def test_a_lifespan_that_fails_ends_with_our_code() -> None:
    async def failing(scope: object, receive: object, send: Callable[..., Any]) -> None:  # noqa: ARG001
        await send({"type": "lifespan.startup.failed"})

    service: Any = None
    server = Server(failing, service, (), Settings(), ConnectionTable(1), 0)
    with pytest.raises(SystemExit) as exit_:
        server.run(sockets=[])
    assert exit_.value.code == STARTUP_FAILURE == 3


def test_the_declared_range_has_this_version_and_an_end() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (declared,) = [name for name in project["dependencies"] if name.startswith("uvicorn")]
    least, end = re.fullmatch(r"uvicorn>=([\d.]+),<([\d.]+)", declared, re.ASCII).groups()  # type: ignore[union-attr]

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split(".")[:2]]

    assert numbers(least) <= numbers(uvicorn.__version__) < numbers(end)
