"""Training in docs/training.md, README.md and README.es.md: runs as it stands, on drawn X-rays."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.model.bundle import read_bundle
from benchmarks import transfer_learning
from tests.conftest import ROOT
from tests.training.drawings import write_data_set
from tests.training.workplace import one_thread, shorten_audit
from training.commands import main

DOCS = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
TRAIN = [shlex.split(line)[1:] for line in COMMANDS if line.startswith("neumo-train ")]
RUN_FOLDER = DOCS.partition("`runs/ours-1`:")[2].partition("All but the events")[0]
LISTED = set(re.findall(r"`([\w-]+\.(?:json|csv|png|pt))`", RUN_FOLDER))
QUICK = [  # and yet long enough for int8 to pass its gate
    *("--weights=random", "--epochs=4", "--small-epochs=3", "--small-side-px=96"),
    *("--batch-size=8", "--augmentation=basic", "--calibration-images=16"),
    "--calibration-method=minmax",
]


README_COMMANDS = {
    name: [
        line
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if "neumo-train " in line or line.startswith("NEUMO_MODEL=")
    ]
    for name in ("README.md", "README.es.md")
}
(TOGETHER,) = (line for line in COMMANDS if line.startswith("torchrun "))
SERVE, BENCHMARK = (line for line in COMMANDS if not line.startswith(("neumo-train ", "torchrun ")))


def test_the_page_shows_its_commands_in_this_order() -> None:
    assert [command[0] for command in TRAIN] == ["data", "run", "run", "remeasure", "evaluate"]
    assert SERVE == "NEUMO_MODEL=models/ours-1 neumo serve"


@pytest.mark.parametrize("name", README_COMMANDS)
def test_what_the_readme_trains_stands_on_the_page_too(name: str) -> None:
    shown = README_COMMANDS[name]
    assert [line.split()[0] for line in shown] == ["neumo-train", "NEUMO_MODEL=models/ours-1"]
    assert set(shown) <= set(COMMANDS)


def test_the_benchmark_takes_the_flags_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    python, dash_m, module, *flags = shlex.split(BENCHMARK)
    assert (python, dash_m, module) == ("python", "-m", transfer_learning.__name__)
    monkeypatch.setattr("sys.argv", [module, *flags])
    options = transfer_learning.parse()
    assert (options.epochs, options.small_epochs, options.subset) == (15, 10, "seed133")
    assert options.starts == ["frozen", "finetune", "random weights"]


@pytest.mark.timeout(900)  # minutes of training, on a machine that may do other things too
def test_its_commands_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DATA").mkdir()
    write_data_set(tmp_path / "DATA", train=16, test=8)
    monkeypatch.chdir(tmp_path)
    shorten_audit(monkeypatch)
    with one_thread():
        for command in TRAIN:
            assert main([*command, *(QUICK if command[0] == "run" else [])]) == 0
    written = {path.name for path in Path("runs/ours-1").iterdir()}
    assert {name for name in LISTED if not name.startswith("events")} <= written
    assert json.loads(Path("inventory.json").read_text())["unreadable"] == []
    report = json.loads(Path("report/evaluation.json").read_text())
    card = read_bundle(Path("models/ours-1")).card
    assert report["model"] == {"name": "ours-1", "sha256": card.sha256}


def test_torchrun_trains_as_shown_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "DATA").mkdir()
    write_data_set(tmp_path / "DATA", train=4, test=1)
    torchrun, *arguments = shlex.split(TOGETHER)
    assert torchrun == "torchrun"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", *arguments),
            *("--weights=random", "--epochs=1", "--side-px=64", "--validation-share=0.3"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1: ") == 1  # of the first alone
    run = tmp_path / "runs" / "ours-2"
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    assert len(json.loads((run / "history.json").read_text())) == 1
