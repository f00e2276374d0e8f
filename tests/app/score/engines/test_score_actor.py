"""app.score.engines.score_actor: a node reads only with the run's Neumo and the run's graph."""

import os
import shutil
from pathlib import Path

import pytest

from app.model.bundle import find_bundle
from app.score.engines.score_actor import Task, is_like
from app.score.engines.score_process import Work
from app.score.source import open_source
from app.service.service import load_model_from
from app.settings.settings import Settings
from tests.bundles import add_fp32


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a second graph in float32's place."""
    folder = tmp_path_factory.mktemp("models") / "neumo-both-1"
    shutil.copytree(find_bundle(Settings().model), folder)
    add_fp32(folder)
    return folder


def make_task(bundle: Path, precision: str, run_precision: str) -> Task:
    """Return what a node with one graph is sent of a run with another."""
    settings = Settings(model=str(bundle), precision=precision)  # type: ignore[arg-type]
    begun = settings.model_copy(update={"precision": run_precision})
    sha256 = load_model_from(begun).card.sha256
    return Task(Work(settings, open_source(str(bundle))), sha256, os.getcwd(), None)  # noqa: PTH109


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("run_precision", ["int8", "fp32"])
def test_the_graph_has_to_be_the_runs(bundle: Path, precision: str, run_precision: str) -> None:
    assert is_like(make_task(bundle, precision, run_precision)) == (precision == run_precision)
