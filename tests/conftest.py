"""What several tests share: images, the application in this process, a served process."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.settings.settings import Settings
from tests.images import encode
from tests.server import Server, running

ROOT = Path(__file__).parents[1]


def pytest_configure() -> None:
    """Take English for this terminal's language, and one thread of torch in a process of several.

    On shared CPUs more would only spin. And hear Ctrl-C: what a shell began in the background does
    not, nor do the programs that it starts.
    """
    os.environ["LC_ALL"] = "C.UTF-8"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def examples() -> dict[str, Path]:
    """The synthetic radiographs of examples/, by label."""
    return {path.stem: path for path in sorted((ROOT / "examples").glob("*.jpg"))}


@pytest.fixture(scope="session")
def jpeg(examples: dict[str, Path]) -> bytes:
    """A synthetic radiograph as a grey 512 x 400 JPEG that any decoder reads."""
    return encode(Image.open(examples["normal"]).resize((512, 400)), "JPEG", quality=90)


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """The application with the shipped model, in this process, ready."""
    app = create_app(Settings())
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """`neumo serve` in a process of its own, ready."""
    with running() as server:
        yield server


def wait_until_ready(client: TestClient) -> None:
    """Ask until the model is loaded; it takes a fraction of a second."""
    for _ in range(1000):
        if client.get("/health/ready").status_code == 200:
            return
        time.sleep(0.01)
    raise AssertionError("never ready")
