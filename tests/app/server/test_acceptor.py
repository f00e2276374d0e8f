"""Acceptors, at a real listening socket, on both event loops: who takes what, and what is kept."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import uvloop

from app.server.acceptor import Acceptor
from app.server.balance import ConnectionTable, Stage

SETTLED_S = 0.2


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop: asyncio.AbstractEventLoop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        yield listener


class Noted(asyncio.Protocol):
    """Tells its acceptor when it ends; one that was accepted says so with a byte."""

    def __init__(self, row: "Row") -> None:
        self._row = row

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)
        self._row.transports.append(made)
        made.write(b"!")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._row.acceptor.on_closed()


class Row:
    """One of a table's workers, all of them in this process."""

    def __init__(self, listener: socket.socket, table: ConnectionTable, worker: int) -> None:
        self.transports: list[asyncio.Transport] = []
        self.acceptor = Acceptor(listener, table, worker, lambda: Noted(self))

    @property
    def taken(self) -> int:
        return len(self.transports)


def open_port(listener: socket.socket, workers: int) -> ConnectionTable:
    """Listen, and say so in a new table."""
    listener.listen()
    table = ConnectionTable(workers)
    table.open_port()
    return table


def connect(listener: socket.socket, count: int) -> list[socket.socket]:
    address = listener.getsockname()
    return [socket.create_connection(address, timeout=5) for _ in range(count)]


def run(loop: asyncio.AbstractEventLoop, scene: Callable[[], Any]) -> None:
    loop.run_until_complete(scene())
    loop.run_until_complete(asyncio.sleep(0.05))  # for what was aborted to be closed


def close(rows: list[Row], clients: list[socket.socket]) -> None:
    for row in rows:
        for transport in row.transports:
            transport.abort()
    for client in clients:
        client.close()


def test_connections_wait_until_the_port_is_open(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    async def scene() -> None:
        table = ConnectionTable(1)
        row = Row(listener, table, 0)
        row.acceptor.start()
        assert table.stage(0) is Stage.ACCEPTING
        await asyncio.sleep(0.05)
        listener.listen()
        clients = connect(listener, 3)
        await asyncio.sleep(0.05)
        assert row.taken == 0
        table.open_port()
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 3
        await row.acceptor.stop()
        close([row], clients)

    run(loop, scene)


def test_a_lone_worker_takes_all(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    async def scene() -> None:
        table = open_port(listener, workers=1)
        row = Row(listener, table, 0)
        row.acceptor.start()
        clients = connect(listener, 50)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 50
        assert all(client.recv(1) == b"!" for client in clients)
        await row.acceptor.stop()
        close([row], clients)

    run(loop, scene)


def test_a_worker_leaves_connections_to_one_that_has_fewer(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    """The other one is a row alone here: it never takes what is left to it, until it is gone."""

    async def scene() -> None:
        table = open_port(listener, workers=2)
        table.set_stage(1, Stage.ACCEPTING)
        row = Row(listener, table, 0)
        row.acceptor.start()
        clients = connect(listener, 5)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 1  # now it has one, and the other none
        table.set_connections(1, 2)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 3
        table.set_stage(1, Stage.STOPPED)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 5
        await row.acceptor.stop()
        close([row], clients)

    run(loop, scene)


def test_a_connection_that_ended_counts_no_longer(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    async def scene() -> None:
        table = open_port(listener, workers=2)
        table.set_stage(1, Stage.ACCEPTING)
        row = Row(listener, table, 0)
        row.acceptor.start()
        clients = connect(listener, 2)
        await asyncio.sleep(SETTLED_S)
        table.give_sign(1)
        assert row.taken == 1
        row.transports[0].abort()
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 2
        await row.acceptor.stop()
        close([row], clients)

    run(loop, scene)


def test_two_workers_share_what_comes_at_once(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    async def scene() -> None:
        table = open_port(listener, workers=2)
        twin = socket.socket(fileno=listener.dup().detach())  # as a forked worker has it
        rows = [Row(listener, table, 0), Row(twin, table, 1)]
        for row in rows:
            row.acceptor.start()
        clients = connect(listener, 8)
        await asyncio.sleep(SETTLED_S)
        assert [row.taken for row in rows] == [4, 4]
        for row in rows:
            await row.acceptor.stop()
        close(rows, clients)
        twin.close()

    run(loop, scene)


def test_a_stop_takes_what_the_kernel_has_accepted(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    async def scene() -> None:
        table = open_port(listener, workers=2)
        table.set_stage(1, Stage.ACCEPTING)
        row = Row(listener, table, 0)
        row.acceptor.start()
        clients = connect(listener, 5)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 1
        await row.acceptor.stop()
        assert row.taken == 5
        assert table.stage(0) is Stage.STOPPED
        clients += connect(listener, 1)
        await asyncio.sleep(SETTLED_S)
        assert row.taken == 5  # and no more
        close([row], clients)

    run(loop, scene)


def test_a_port_that_was_never_opened_does_not_keep_a_worker_from_stopping(
    loop: asyncio.AbstractEventLoop, listener: socket.socket
) -> None:
    async def scene() -> None:
        row = Row(listener, ConnectionTable(1), 0)
        row.acceptor.start()
        await row.acceptor.stop()
        await asyncio.sleep(0.02)

    run(loop, scene)


def test_it_waits_when_no_file_can_be_opened(
    loop: asyncio.AbstractEventLoop, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    class Exhausted:
        def accept(self) -> None:
            tries.append(1)
            raise OSError(24, "Too many open files")

        def fileno(self) -> int:
            return listener.fileno()

    async def scene() -> None:
        table = open_port(listener, workers=1)
        row = Row(listener, table, 0)
        exhausted: Any = Exhausted()
        monkeypatch.setattr(row.acceptor, "_listener", exhausted)
        row.acceptor.start()
        clients = connect(listener, 1)
        await asyncio.sleep(SETTLED_S)
        assert len(tries) == 1  # no busy loop
        monkeypatch.setattr(row.acceptor, "_listener", listener)
        await asyncio.sleep(1)
        assert row.taken == 1
        await row.acceptor.stop()
        close([row], clients)

    run(loop, scene)
