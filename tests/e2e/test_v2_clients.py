"""Triton's client and KServe's, as they come, ask the real service."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.access.key import Key
from app.access.key_file import change_keys
from app.image.decode import decode
from app.image.resize import resize
from tests.conftest import ROOT
from tests.e2e.pages import Block, blocks
from tests.server import ONE_WORKER_AT_ONCE, Server, running

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
MODEL = "neumo-r18-3"
PYTHON_BLOCKS = [each for each in blocks(ROOT / "docs" / "v2.md") if each.language == "python"]

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv-clients" / "installed").exists(),
    reason="the clients are missing: make .venv-clients/installed",
)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, Path]]:
    """A service that asks for keys, a key, and the folder of what is written down."""
    place = tmp_path_factory.mktemp("v2")
    key, shown = Key.create("archive", frozenset({"predict"}), datetime.now(UTC))
    change_keys(place / "keys", lambda _: [key])
    settings = {"NEUMO_KEYS_FILE": str(place / "keys")}
    with running(environment=ONE_WORKER_AT_ONCE | settings) as server:
        yield server, shown, place


def ask(which: str, secret: tuple[Server, str, Path], image: Path) -> dict[str, Any]:
    server, key, place = secret
    pixels = resize(decode(image.read_bytes()))[np.newaxis]
    np.save(place / "pixels.npy", pixels)
    script = ROOT / "tests" / "e2e" / "triton_and_kserve.py"
    done = subprocess.run(
        [PYTHON, script, which, server.url, key, image, place / "pixels.npy"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(place)},
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def predicted(secret: tuple[Server, str, Path], image: Path) -> dict[str, Any]:
    server, key, _ = secret
    status, _, body = server.call("POST", "/predict", image.read_bytes(), {"X-API-Key": key})
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.name)
def test_what_the_page_shows_of_the_clients_works(
    secret: tuple[Server, str, Path], block: Block
) -> None:
    """docs/v2.md: its Python; its shell is run with the other pages'."""
    server, key, place = secret
    script = block.script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        [PYTHON, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "KEY": key},
    )
    assert done.returncode == 0, done.stderr
    if "tritonclient" in script:
        assert "[b'normal' b'covid19']" in done.stdout
    else:
        assert "probabilities [1, 4]" in done.stdout


def test_tritons_client_gets_what_predict_says(
    secret: tuple[Server, str, Path], examples: dict[str, Path]
) -> None:
    image = examples["covid19"]
    said, wanted = ask("triton", secret, image), predicted(secret, image)
    health = ("live", "ready", "model_ready", "version_ready", "other_ready")
    assert [said[each] for each in health] == [True, True, True, True, False]
    assert said["server"]["extensions"] == ["binary_tensor_data"]
    assert said["model"]["inputs"][1]["shape"] == [-1, 1, 224, 224]
    shares = np.array(list(wanted["probabilities"].values()), np.float32)
    for call, images in (("files", 2), ("active", 2), ("json", 1), ("pixels", 1)):
        assert said[call]["labels"] == [wanted["label"]] * images, call
        assert said[call]["model"] == MODEL
        given = np.array(said[call]["probabilities"], np.float32)
        assert np.array_equal(given, np.tile(shares, (images, 1))), call
    assert said["files"]["id"] == "7"
    assert np.shape(said["files"]["cam"])[:2] == (2, 4)
    assert said["json"]["cam"] is None  # not asked for
    status, text = said["error"]
    assert (status, text.partition(":")[0]) == ("422", "image_truncated")
    assert said["unknown"][0] == "404"
    assert said["without_key"][0] == "401"
    assert said["without_key"][1].startswith("unauthenticated: ")


def test_kserves_client_gets_what_predict_says(
    secret: tuple[Server, str, Path], examples: dict[str, Path]
) -> None:
    image = examples["bacterial_pneumonia"]
    said, wanted = ask("kserve", secret, image), predicted(secret, image)
    health = ("live", "ready", "model_ready", "other_ready")
    assert [said[each] for each in health] == [True, True, True, False]
    shares = np.array(list(wanted["probabilities"].values()), np.float32)
    for call, images in (("files", 2), ("json", 1), ("pixels", 1)):
        assert said[call]["labels"] == [wanted["label"]] * images, call
        assert said[call]["model"] == MODEL
        given = np.array(said[call]["probabilities"], np.float32).reshape(images, 4)
        assert np.array_equal(given, np.tile(shares, (images, 1))), call
    assert said["files"]["id"] == "7"
    assert said["json"]["outputs"] == ["labels", "probabilities"]
    assert said["error"][0] == 422
    assert "image_truncated: " in said["error"][1]
