"""Serving needs no extra: it starts and reads where none of their packages can be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import dicoms
from tests.server import predict, running, started

OF_EXTRAS = (
    "torch", "torchvision", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib", "tensorboardX",
    "tqdm", "imagecodecs", "pydicom", "pynetdicom", "highdicom", "sqlalchemy", "alembic", "psycopg",
    "ray", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation", "jwt",
    "training",
)  # fmt: skip
"""What comes with the extras that there are, or that are to come (OpenTelemetry's API alone comes
with FastAPI), and the half of Neumo that needs one."""

BLOCK = f"""
import sys

class Blocked:
    '''Finds what is blocked before anything else does, and fails.'''

    def find_spec(self, name, path=None, target=None):
        if name in {OF_EXTRAS!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def without_extras(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which no extra is installed, nor in its children."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    return {"PYTHONPATH": str(tmp_path)}


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("package", OF_EXTRAS)
def test_what_is_blocked_here_can_not_be_imported(
    without_extras: dict[str, str], package: str
) -> None:
    assert f"{package} is blocked" in run(f"import {package}", without_extras).stderr


def test_the_application_is_imported_without_extras(without_extras: dict[str, str]) -> None:
    """And nothing caught an ImportError on the way: what is absent is not asked for."""
    code = "import app.main, app.server.worker, app.cli, sys; print(*sys.modules)"
    done = run(code, without_extras)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert loaded >= {"app.main", "fastapi", "onnxruntime"}
    assert loaded & set(OF_EXTRAS) == set()


def test_neumo_serves_without_extras(without_extras: dict[str, str], jpeg: bytes) -> None:
    with running(environment=without_extras) as server:
        assert predict(server, jpeg)[0] == 200
        status, answer = predict(server, dicoms.native(np.zeros((99, 99), np.uint16)))
        assert status == 415
        assert "installs neumo[dicom]" in json.loads(answer)["detail"]


def test_films_are_not_kept_without_the_extra(
    without_extras: dict[str, str], tmp_path: Path
) -> None:
    asked = without_extras | {"NEUMO_EXCHANGE_FOLDER": str(tmp_path / "exchange")}
    with started(environment=asked) as server:
        assert server.process.wait(60) == 3
        told = server.lines()[-1]
    assert told["code"] == "exchange_folder_unusable"
    assert "neumo[hospital]" in told["message"]
