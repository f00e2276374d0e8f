"""Faults: what becomes of a service whose workers are killed or hang, and how it stops."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.contract.test_health import value_of
from tests.images import encode
from tests.server import Server, predict, running, running_code, started

BACK_WITHIN_S = 3.0
"""What the service is held to. On a busy machine the start itself may take longer, so tests
compare with the time that this machine took for the first start."""

HANGING = """
import ctypes, sys, time
from app.service.service import load_model_from
from app.settings.settings import Settings
from app.server.supervisor import serve

class Hanging:
    '''A network that hangs in native code on images whose first pixel is white.'''

    def __init__(self, model):
        self.model, self.card, self.card_json = model, model.card, model.card_json

    def run(self, pixels):
        if pixels[0, 0, 0, 0] == 255:
            HANG
        return self.model.run(pixels)

settings = Settings(port=PORT, worker_timeout_s=2, deadline_s=1, threads=2, workers=1)
sys.exit(serve(settings, lambda settings: Hanging(load_model_from(settings))))
"""


def wait_until(condition: Callable[[], bool], limit_s: float = 60.0) -> float:
    """Return the seconds until it was so."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < limit_s
        time.sleep(0.02)
    return time.monotonic() - begun


def count(server: Server, message: str) -> int:
    return sum(line["message"] == message for line in server.lines())


def answers(server: Server, image: bytes) -> bool:
    try:
        return predict(server, image)[0] == 200
    except OSError:
        return False


@pytest.mark.alone
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_worker_comes_back_and_costs_only_its_own_requests(
    jpeg: bytes, workers: str
) -> None:
    with started("--workers", workers) as server:
        started_in_s = server.wait_until_ready()
        wait_until(lambda: count(server, "ready") == int(workers))
        before = server.workers
        os.kill(before[0], signal.SIGKILL)
        # From now on no call fails: those that come wait, or go to another worker.
        came_back_s = wait_until(lambda: count(server, "ready") == int(workers) + 1)
        assert came_back_s < max(BACK_WITHIN_S, started_in_s)
        assert [predict(server, jpeg)[0] for _ in range(10)] == [200] * 10
        assert len(server.workers) == int(workers)
        assert set(server.workers) - set(before)
        assert count(server, "a worker is replaced") == 1


def test_calls_that_come_while_the_only_worker_is_replaced_wait_for_it(jpeg: bytes) -> None:
    with running() as server:
        os.kill(server.workers[0], signal.SIGKILL)
        time.sleep(0.05)
        assert predict(server, jpeg)[0] == 200


def test_a_worker_that_gives_no_sign_is_replaced(jpeg: bytes) -> None:
    """SIGSTOP stands for anything that keeps a process from running Python."""
    with running("--worker-timeout-s", "2") as server:
        stopped = server.workers[0]
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: count(server, "ready") == 2)
        assert stopped not in server.workers
        assert predict(server, jpeg)[0] == 200


STUCK = """
import sys, time
from app.server import uvicorn_server
from app.server.supervisor import serve
from app.settings.settings import Settings

begun = time.monotonic()

class Stuck(uvicorn_server.Server):
    async def on_tick(self, counter):
        if self._worker == 0 and counter == 10 and time.monotonic() - begun < 5:
            time.sleep(600)
        return await super().on_tick(counter)

uvicorn_server.Server = Stuck
sys.exit(serve(Settings(port=PORT, worker_timeout_s=2, workers=2, drain_delay_s=0)))
"""


def test_a_worker_whose_event_loop_hangs_is_replaced(jpeg: bytes, tmp_path: Path) -> None:
    """Its thread still answers pings: only its loop gives no sign."""
    with running_code(STUCK, tmp_path) as server:
        wait_until(lambda: count(server, "ready") == 3, 30)
        assert count(server, "a worker is replaced") == 1
        assert predict(server, jpeg)[0] == 200


@pytest.fixture(scope="session")
def white_corner(examples: dict[str, Path]) -> bytes:
    """A radiograph on which the network of `hanging` hangs."""
    image = np.array(Image.open(examples["normal"]).resize((224, 224)))
    image[:32, :32] = 255
    return encode(image, "PNG")


@contextmanager
def hanging(hang: str, folder: Path) -> Iterator[Server]:
    """Serve with a network that hangs on some images."""
    with running_code(HANGING.replace("HANG\n", hang + "\n"), folder) as server:
        yield server


@pytest.mark.parametrize(
    "hang", ["ctypes.PyDLL(None).sleep(600)", "time.sleep(600)"], ids=["with-gil", "without-gil"]
)
def test_a_native_call_that_hangs_does_not_stop_the_service(
    jpeg: bytes, white_corner: bytes, tmp_path: Path, hang: str
) -> None:
    with hanging(hang, tmp_path) as server:
        lost = threading.Thread(target=answers, args=(server, white_corner))
        lost.start()
        wait_until(lambda: count(server, "ready") == 2)
        lost.join()
        assert predict(server, jpeg)[0] == 200
        assert count(server, "a worker is replaced") == 1


@pytest.mark.alone
def test_sigterm_says_not_ready_at_once_and_still_answers_for_a_while(jpeg: bytes) -> None:
    with running("--drain-delay-s", "3") as server:
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        kept.request("GET", "/health/ready")
        assert kept.getresponse().read() == b'{"status":"ok"}'
        told_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.call("GET", "/health/ready")[0] == 503, 2)
        assert server.call("GET", "/health/live")[0] == 200
        assert predict(server, jpeg)[0] == 200  # on a connection made after SIGTERM
        kept.request("POST", "/predict", jpeg, {"Content-Type": "image/jpeg"})
        response = kept.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
        kept.close()
        assert server.process.wait(30) == 0
        assert time.monotonic() - told_s > 2.9


def test_sigint_leaves_the_delay_out() -> None:
    with running("--drain-delay-s", "60") as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_in_flight_when_the_listener_closes_is_answered(jpeg: bytes, workers: str) -> None:
    with running("--drain-delay-s", "0.5", "--workers", workers) as server:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        clients = [
            socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)
        ]
        for client in clients:
            client.sendall(head + jpeg[:100])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server), 20)
        for client in clients:
            client.sendall(jpeg[100:])
        assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 8
        for client in clients:
            client.close()
        assert server.process.wait(20) == 0


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_outlasts_the_grace_of_a_stop_is_told_to_try_again(jpeg: bytes) -> None:
    with running("--shutdown-grace-s", "1") as server:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(head.encode() + jpeg[:100])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            response = http.client.HTTPResponse(client, method="POST")
            response.begin()
            problem = json.loads(response.read())
        assert (response.status, problem["code"]) == (503, "not_ready")
        assert response.getheader("retry-after") == "1"
        assert response.getheader("connection") == "close"
        assert response.getheader("x-request-id") == problem["request_id"]
        assert server.process.wait(20) == 0
        line = server.line_of(problem["request_id"])
        assert (line["status"], line["code"]) == (503, "not_ready")
        assert not any("exception" in line for line in server.lines())


def test_a_stop_is_bounded_even_if_a_worker_hangs() -> None:
    with running("--shutdown-grace-s", "0") as server:
        os.kill(server.workers[0], signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 1


def test_workers_do_not_outlive_their_parent() -> None:
    with running() as server:
        worker = server.workers[0]
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not Path(f"/proc/{worker}").exists(), 15)


@pytest.mark.alone
def test_what_is_turned_away_counts_as_answered(examples: dict[str, Path]) -> None:
    image = examples["normal"].read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(image)}\r\n\r\n"
    with running("--threads", "1", "--deadline-s", "0.2") as server, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            for _ in range(40)
        ]
        for client in clients:
            client.sendall(head.encode() + image)
        refused = [client.recv(12) for client in clients].count(b"HTTP/1.1 503")
        text = server.call("GET", "/metrics")[2].decode()
        answered = 'neumo_requests_total{method="POST",route="/predict",status="503"}'
        assert value_of(text, answered) == refused >= 1
        assert value_of(text, 'neumo_refusals_total{code="overloaded"}') == refused


@pytest.mark.alone
def test_work_of_clients_that_left_is_dropped_and_no_place_leaks(
    jpeg: bytes, examples: dict[str, Path]
) -> None:
    image = examples["normal"].read_bytes()
    with running("--threads", "1") as server:

        def metric(name: str) -> float:
            return value_of(server.call("GET", "/metrics")[2].decode(), name)

        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(image)}\r\n\r\n"
        clients = [
            socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(40)
        ]
        for client in clients:
            client.sendall(head.encode() + image)
        wait_until(lambda: metric("neumo_queue_depth") >= 15)
        for client in clients:
            client.close()
        wait_until(lambda: metric("neumo_in_flight") == 0)
        dropped = metric('neumo_dropped_total{before="decode",reason="client_gone"}')
        assert dropped >= 10
        gone = 'neumo_requests_total{method="POST",route="/predict",status="499"}'
        assert metric(gone) >= dropped
        wait_until(lambda: metric("neumo_queue_depth") == 0)
        assert predict(server, jpeg)[0] == 200
