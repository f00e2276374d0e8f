"""app.model.load: int8 or float32, by the CPU's flags, by a clock, or as told."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from app.errors import BundleError, BundleHashMismatch, BundleMalformed, BundleMissing
from app.model import load as precision
from app.model.bundle import FP32_FILE, find_bundle, read_bundle
from app.model.load import load_model
from app.model.session import OnnxModel
from app.settings.settings import Settings
from tests.bundles import add_fp32, write_bundle, write_fp32


@pytest.fixture
def without_dot_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_dot_products", lambda: False)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The shipped bundle, whose card knows no float32 graph."""
    folder = tmp_path / "neumo-copy-1"
    shutil.copytree(find_bundle(Settings().model), folder, ignore=shutil.ignore_patterns("*fp32*"))
    card = json.loads((folder / "card.json").read_text())
    card["fp32"] = None
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def both(shipped: Path) -> Path:
    """With a second graph in float32's place: the same one, under another producer's name."""
    add_fp32(shipped)
    return shipped


def served(folder: Path, wanted: str) -> str:
    """Which graph is loaded, by the hash that answers will name."""
    model = load_model(str(folder), wanted, 1)  # type: ignore[arg-type]
    files = {
        hashlib.sha256((folder / file).read_bytes()).hexdigest(): name
        for name, file in (("fp32", FP32_FILE), ("int8", "model.onnx"))
        if (folder / file).exists()
    }
    return files[model.card.sha256]


@pytest.mark.parametrize("wanted", ["int8", "fp32"])
def test_the_graph_told_is_served(both: Path, wanted: str) -> None:
    assert served(both, wanted) == wanted


def test_auto_is_int8_where_the_cpu_says_so(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_dot_products", lambda: True)
    assert served(both, "auto") == "int8"


@pytest.mark.usefixtures("without_dot_products")
@pytest.mark.parametrize("faster", ["int8", "fp32"])
def test_auto_is_the_faster_one_elsewhere(
    both: Path, faster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = read_bundle(both).card.sha256

    def time_run(model: OnnxModel) -> float:
        return 1.0 if (model.card.sha256 == sha256) == (faster == "int8") else 2.0

    monkeypatch.setattr(precision, "time_run", time_run)
    assert served(both, "auto") == faster


@pytest.mark.usefixtures("without_dot_products")
def test_auto_falls_back_to_int8_without_a_float32_graph(both: Path, shipped: Path) -> None:
    (both / FP32_FILE).unlink()
    assert served(shipped, "auto") == "int8"


@pytest.mark.usefixtures("without_dot_products")
def test_a_float32_graph_that_the_card_does_not_vouch_for_is_not_taken(shipped: Path) -> None:
    shutil.copy(shipped / "model.onnx", shipped / FP32_FILE)
    assert served(shipped, "auto") == "int8"
    with pytest.raises(BundleMissing) as caught:
        load_model(str(shipped), "fp32", 1)
    assert caught.value.facts["file"] == FP32_FILE


def test_an_altered_float32_graph_stops_the_start(both: Path) -> None:
    with (both / FP32_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleHashMismatch) as caught:
        load_model(str(both), "fp32", 1)
    assert caught.value.facts["file"] == FP32_FILE


def test_float32_must_give_its_own_known_answers(both: Path) -> None:
    known = [each.probabilities[::-1] for each in read_bundle(both).card.known_answers]
    write_fp32(both, (both / FP32_FILE).read_bytes(), known)
    assert served(both, "int8") == "int8"
    with pytest.raises(BundleError) as caught:
        load_model(str(both), "fp32", 1)
    assert caught.value.code == "known_answer_wrong"


def test_a_card_with_answers_missing_is_malformed(tmp_path: Path) -> None:
    exact = {"sha256": "0", "known_probabilities": []}
    with pytest.raises(BundleMalformed):
        read_bundle(write_bundle(tmp_path / "neumo-test-1", fp32=exact))
