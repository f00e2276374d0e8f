"""examples/train_your_own.ipynb: as it is stored, and run from its first cell to its last."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from app.model.bundle import read_bundle
from app.model.labels import LABEL_IDS
from tests.conftest import ROOT
from tests.training.drawings import draw
from training.measure.predictions import read_predictions

NOTEBOOK = ROOT / "examples" / "train_your_own.ipynb"

RUN = """
import sys
import nbformat
from nbclient import NotebookClient
path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=280, kernel_name="python3").execute()
nbformat.write(notebook, path)
"""


def write_films(folder: Path, patients: int) -> None:
    """Write a folder of drawings a label; every other patient has two."""
    generator = np.random.default_rng(0)
    for index, label in enumerate(LABEL_IDS):
        (folder / label).mkdir(parents=True)
        for patient in range(patients):
            for number in range(1 + patient % 2):
                picture = Image.fromarray(draw(index, generator))
                picture.save(folder / label / f"p{patient}_{number}.png")


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(
    stored: nbformat.NotebookNode, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nbformat.NotebookNode, Path]:
    """The notebook after it was run on drawings, in a process of its own; and where."""
    folder = tmp_path_factory.mktemp("notebook")
    write_films(folder / "drawn", patients=10)
    notebook = nbformat.from_dict(stored)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    changes = {"IMAGES": 'Path("drawn")', "WEIGHTS": '"random"', "SIDE_PX": "64", "EPOCHS": "1"}
    lines = parameters.source.splitlines()
    for name, value in changes.items():
        (row,) = (row for row, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[row] = f"{name} = {value}"
    parameters.source = "\n".join(lines)
    path = folder / "executed.ipynb"
    nbformat.write(notebook, path)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(path, as_version=4), folder


def output(notebook: nbformat.NotebookNode, name: str) -> str:
    """Return what a cell printed."""
    (cell,) = (cell for cell in notebook.cells if cell.id == name)
    return "".join(each.get("text", "") for each in cell.outputs)


def test_it_is_stored_without_outputs_and_is_a_valid_notebook(
    stored: nbformat.NotebookNode,
) -> None:
    nbformat.validate(stored)
    for cell in stored.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_every_step_runs_and_leaves_a_bundle_that_serving_reads(
    executed: tuple[nbformat.NotebookNode, Path],
) -> None:
    notebook, folder = executed
    (bundle,) = (folder / "train_your_own" / "models").iterdir()
    card = read_bundle(bundle).card
    assert card.training.strategy == bundle.name.partition("-")[0]
    assert card.metrics["test"].images == 4 * 3  # a fifth: of ten patients two, with three films
    assert output(notebook, "split") == "60 films of 40 patients, 12 of them for the test\n"


def test_both_strategies_are_trained_and_told(
    executed: tuple[nbformat.NotebookNode, Path],
) -> None:
    notebook, folder = executed
    for name in ("frozen-1", "finetune-1"):
        run = folder / "train_your_own" / "runs" / name
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        assert config["strategy"] == name.partition("-")[0]
        assert f"{name}: epoch 1 is best, macro-AUROC" in output(notebook, "curves")


def test_no_patient_is_in_two_splits(executed: tuple[nbformat.NotebookNode, Path]) -> None:
    _, folder = executed
    (run,) = (folder / "train_your_own" / "runs").glob("*/predictions.csv")
    told = read_predictions(run)
    held = {
        split: set(told.patients[told.splits == split].tolist()) for split in ("validation", "test")
    }
    assert not held["validation"] & held["test"]


def test_the_page_holds_no_film_and_one_film_is_read(
    executed: tuple[nbformat.NotebookNode, Path],
) -> None:
    notebook, folder = executed
    page = (folder / "train_your_own" / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" not in page
    assert "ROC: validation" in page
    said = output(notebook, "predict")
    true, told = said.strip().split(": ", 1)
    assert true in LABEL_IDS
    assert told.startswith(("called ", "refused. "))
