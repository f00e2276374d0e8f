"""`neumo predict` and `neumo health`."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.server import Server, predict


def test_the_terminal_gives_the_same_reading_as_http(
    server: Server, examples: dict[str, Path]
) -> None:
    path = examples["viral_pneumonia"]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    served = json.loads(predict(server, path.read_bytes())[1])
    for changing in ("request_id", "timing_ms"):
        del told[changing], served[changing]
    assert told == served


def test_the_terminal_prints_labels_for_people(examples: dict[str, Path]) -> None:
    files = [str(examples["normal"]), str(examples["covid19"]), str(ROOT / "README.md")]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--language", "es", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{files[0]}: Normal\n" in result.stdout
    assert f"{files[1]}: COVID-19\n" in result.stdout
    assert "Neumonía bacteriana" in result.stdout
    assert "no es un diagnóstico" in result.stdout
    assert f"{files[2]}: El contenido no es JPEG ni PNG" in result.stderr


def test_the_health_command_tells_by_its_exit_code(server: Server) -> None:
    def ask(*arguments: str, **environment: str) -> int:
        command = [sys.executable, "-m", "app", "health", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, check=False
        ).returncode

    assert ask("--port", str(server.port)) == 0
    assert ask(NEUMO_PORT=str(server.port), NEUMO_HOST="0.0.0.0") == 0  # noqa: S104 - as in a container
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = str(free.getsockname()[1])
        assert ask("--port", closed) == 1
        assert ask("--port", str(server.port), NEUMO_PORT=closed) == 0
