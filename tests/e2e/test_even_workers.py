"""Several workers behind one port: who gets the connections, also when one of them is no help."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.even_workers import connect, connections_of
from tests.e2e.test_faults import count, wait_until
from tests.server import Server, running, running_code, started

DYING = """
import os, sys
from app.service.service import load_model_from
from app.settings.settings import Settings
from app.server.supervisor import serve

def load(settings):
    try:
        os.close(os.open(MARK, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return load_model_from(settings)
    os._exit(9)  # the first worker that comes here

sys.exit(serve(Settings(port=PORT, workers=2, drain_delay_s=0), load))
"""

ASK = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def split_of(server: Server, connections: int) -> list[int]:
    """Return each worker's connections, once all are accepted."""
    split: list[int] = []

    def all_accepted() -> bool:
        split[:] = sorted(connections_of(pid, server.port) for pid in server.workers)
        return sum(split) == connections

    wait_until(all_accepted, 10)
    return split


@contextmanager
def connected(server: Server, ways: int, *, at_once: bool) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack, ThreadPoolExecutor(ways) as pool:
        if at_once:
            clients = list(pool.map(connect, [server.port] * ways))
        else:
            clients = []
            for _ in range(ways):
                clients.append(connect(server.port))
                time.sleep(0.02)
        for client in clients:
            stack.enter_context(client)
        yield clients


@pytest.mark.parametrize("workers", [2, 3])
def test_connections_are_shared_evenly(workers: int) -> None:
    with running("--workers", str(workers), "--keep-alive-s", "60") as server:
        for at_once in (True, False, True):
            with connected(server, 4 * workers, at_once=at_once) as clients:
                assert split_of(server, 4 * workers) == [4] * workers
                for client in clients:
                    client.sendall(ASK)
                    assert client.recv(15) == b"HTTP/1.1 200 OK"
            wait_until(
                lambda: not any(connections_of(pid, server.port) for pid in server.workers), 10
            )


def test_those_that_come_before_the_port_is_open_are_shared_evenly() -> None:
    early: list[socket.socket] = []
    with started("--workers", "2", "--keep-alive-s", "60") as server:
        threads = [
            threading.Thread(target=lambda: early.append(connect(server.port))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert split_of(server, 8) == [4, 4]
        for client in early:
            client.close()


def test_a_worker_that_stands_still_does_not_keep_the_others_from_accepting() -> None:
    """It has fewest connections, and takes none."""
    with (
        running("--workers", "2", "--keep-alive-s", "60") as server,
        connected(server, 4, at_once=True),
    ):
        assert split_of(server, 4) == [2, 2]
        still, other = server.workers
        os.kill(still, signal.SIGSTOP)
        try:
            time.sleep(0.7)
            with connected(server, 6, at_once=True) as clients:
                for client in clients:
                    client.sendall(ASK)
                    client.settimeout(5)
                    assert client.recv(15) == b"HTTP/1.1 200 OK"
                assert connections_of(other, server.port) == 8
        finally:
            os.kill(still, signal.SIGCONT)


def test_a_worker_that_is_replaced_gets_its_share_again() -> None:
    with running("--workers", "2", "--keep-alive-s", "60") as server:
        wait_until(lambda: count(server, "ready") == 2)
        time.sleep(1)
        with connected(server, 4, at_once=True):
            assert split_of(server, 4) == [2, 2]
            os.kill(server.workers[0], signal.SIGKILL)
            wait_until(lambda: count(server, "ready") == 3)
            with connected(server, 2, at_once=False):
                assert split_of(server, 4) == [2, 2]


def test_a_worker_that_dies_while_it_loads_does_not_keep_the_port_closed(tmp_path: Path) -> None:
    code = DYING.replace("MARK", repr(str(tmp_path / "mark")))
    with running_code(code, tmp_path) as server:
        assert count(server, "ready") == 1  # the port didn't wait for the other one
        wait_until(lambda: count(server, "ready") == 2)
        with connected(server, 4, at_once=True):
            assert split_of(server, 4) == [2, 2]
