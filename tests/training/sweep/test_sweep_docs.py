"""docs/sweep.md: its commands, one after the other, on drawn images; and what its tables name."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.holdout.test_holdout_run import write_hospitals
from tests.training.networks import build_small_model, make_small_core
from tests.training.sweep import worker
from training import commands
from training.arguments import build_parser
from training.commands import main
from training.config import Config
from training.fit import trainer
from training.holdout import fold_run
from training.run import progress
from training.sweep import sweep
from training.sweep.search_space import SearchSpace, read_space

pytestmark = pytest.mark.xdist_group("sweeps")

PAGE = (ROOT / "docs" / "sweep.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(SPACE,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line) for line in BLOCK.splitlines()]
QUICK = [
    *("--weights=random", "--side-px=64", "--batch-size=8", "--precision=fp32"),
    *("--validation-share=0.25", "--fold=wards"),
]


def test_its_commands_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "DATA").mkdir()
    write_hospitals(tmp_path / "DATA")
    monkeypatch.chdir(tmp_path)
    quick = SPACE.replace("low = 6, high = 12, step = 3", "low = 1, high = 2")
    assert quick != SPACE
    Path("space.toml").write_text(quick)
    monkeypatch.setattr(commands, "build_model", build_small_model)
    monkeypatch.setattr(trainer, "build_model", build_small_model)
    monkeypatch.setattr(progress, "plot_curves", lambda *_: None)
    monkeypatch.setattr(fold_run, "export_fp32", lambda _, __, side: make_small_core(0, side))
    monkeypatch.setattr(sweep, "get_context", lambda _: worker.FORKS)
    first, show, more, run = COMMANDS
    for name, command, trials in (("sweep", first, 6), ("sweep", more, 12)):
        given = [each if each != str(trials) else str(trials // 6) for each in command[1:]]
        assert given[0] == name
        if "--workers" in given:
            given[given.index("--workers") + 1] = "1"
        assert main([*given, *QUICK]) == 0
        capsys.readouterr()
        assert main(show[1:]) == 0
        assert f"ours-1: {trials // 6} complete" in capsys.readouterr().out
    assert run[1:3] == ["run", "--recipe"]
    assert tomllib.loads(Path(run[3]).read_text())["name"] == "ours-1"
    assert main(["fit", *run[2:]]) == 0  # `run` goes on with what other tests are about
    assert Path("runs/ours-1/best.pt").exists()
    assert Path(run[3]).exists()  # it is no earlier run's, to be moved aside


def test_the_space_shown_can_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    read_space(path).check({"name": "ours-1", "data": "x"})
    named = set(re.findall(r"^\| `(\w+)` \| ", PAGE.partition("in `space.toml`")[2], re.MULTILINE))
    assert named == SearchSpace.model_fields.keys() - {"space"}


def test_its_table_names_every_flag_that_is_no_setting() -> None:
    parser = build_parser(None, dict.fromkeys(commands._RUNS, print))
    commands_of = next(each.choices for each in parser._actions if isinstance(each.choices, dict))
    settings = {"--" + name.replace("_", "-") for name in Config.model_fields}
    flags = {
        action.option_strings[-1]
        for action in commands_of["sweep"]._actions
        if action.option_strings
    }
    named = set(re.findall(r"^\| `(--[\w-]+)", PAGE, re.MULTILINE))
    assert named == flags - settings - {"--help", "--recipe", "--quiet"}
