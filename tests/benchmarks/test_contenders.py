"""benchmarks.contenders: who is compared, and what a server takes, all its processes counted."""

import ast
import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.model.bundle import find_bundle
from app.model.session import Network
from app.settings.settings import Settings
from benchmarks.contenders import GRAPH, MODELS, NEUMO, RIVAL, RIVALS, family_of, largest_mb

# A worker in a session of its own, as process managers start them; it holds 64 MB.
WORKER = "import time; held = b'x' * (64 << 20); print('ready', flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {WORKER!r}], start_new_session=True)
"""


def test_a_worker_in_a_session_of_its_own_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        family = family_of(parent.pid)
        assert len(family) == 2
        assert largest_mb(parent.pid) > 64
        (worker,) = family - {parent.pid}
        subprocess.run(["kill", str(worker)], check=True)


def test_the_graph_rival_is_plain_fastapi_with_two_workers_and_the_served_graph() -> None:
    assert GRAPH in RIVALS
    assert GRAPH.environment == "onnx"  # what is in no way Neumo's
    assert GRAPH.command[:2] == ("-m", "uvicorn")
    assert GRAPH.command[-1] == "fastapi_graph:app"
    workers = GRAPH.command.index("--workers")
    assert GRAPH.command[workers + 1] == "2"
    served = find_bundle(Settings.model_fields["model"].default) / "model.onnx"
    assert Path(GRAPH.model).samefile(served)
    assert MODELS / GRAPH.model == Path(GRAPH.model)  # as it is given to the server


def test_neumo_is_measured_with_its_default_settings() -> None:
    given = [word for word in NEUMO.command if word.startswith("--")]
    assert given == ["--port", "--log-level"]
    assert NEUMO.command[-1] == Settings.model_fields["log_level"].default


def test_the_graph_rival_answers_with_the_graphs_own_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL", GRAPH.model)
    monkeypatch.syspath_prepend(RIVAL)
    grey = np.random.default_rng(0).integers(0, 256, (300, 260), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    import fastapi_graph  # noqa: PLC0415 - found where the rivals are

    answer = TestClient(fastapi_graph.app).post("/predict", files={"file": file.getvalue()})

    small = np.asarray(Image.fromarray(grey).resize((224, 224)))
    expected = Network(Path(GRAPH.model).read_bytes()).run(small[None, None]).probabilities[0]
    labels = ("normal", "covid19", "bacterial_pneumonia", "viral_pneumonia")
    assert answer.json() == dict(zip(labels, expected.tolist(), strict=True))


def test_what_the_rivals_take_from_this_repository_is_there() -> None:
    taken = {
        node.module
        for path in RIVAL.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("app", "training"))
    }
    assert taken
    for module in taken:
        assert module is not None
        assert find_spec(module) is not None, module
