"""neumo-train sweep: trials that add up, whoever runs them and however often they are stopped."""

import os
import re
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState
from scipy.special import softmax

from app.model.labels import LABEL_IDS
from tests.postgresql import Cluster, cluster, why_not
from tests.training.drawings import make_row, write_data_set, write_manifest
from tests.training.holdout.test_holdout_run import write_hospitals
from tests.training.networks import build_small_model, make_small_core
from tests.training.sweep import worker
from tests.training.workplace import NAME, Say, Workplace
from training import commands
from training.commands import main
from training.fit import trainer as fitting
from training.fit.trainer import Trainer
from training.holdout import fold_run
from training.holdout.held_answers import read_answers
from training.metrics.bootstrap import auroc
from training.recipe import load_config
from training.run import progress
from training.sweep import study as studies
from training.sweep import sweep
from training.sweep.study import find_study, list_trials, make_url
from training.sweep.trial_run import Report

pytestmark = pytest.mark.xdist_group("sweeps")

SETTINGS = [
    *("--weights=random", "--epochs=1", "--side-px=64", "--batch-size=8", "--precision=fp32"),
    *("--augmentation=basic", "--validation-share=0.25"),
]
SPACE = """
objective = "{objective}"
prune_after = {prune_after}
[space]
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}
label_smoothing = {{ low = 0.0, high = 0.2 }}
"""


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (commands, fitting):
            patch.setattr(module, "build_model", build_small_model)
        patch.setattr(progress, "plot_curves", lambda *_: None)
        yield


class Sweep(Workplace):
    """A workplace with a search space."""

    def __init__(self, folder: Path, objective: str = "validation", prune_after: int = 50) -> None:
        super().__init__(folder)
        self.space = folder / "space.toml"
        self.space.write_text(SPACE.format(objective=objective, prune_after=prune_after))
        self.folder = self.run / "sweep"

    def command(self, trials: int, *more: str) -> list[str]:
        own = ("--space", str(self.space), "--trials", str(trials))
        return ["sweep", *self.arguments, *SETTINGS, *own, *more]

    def study(self, storage: str | None = None) -> optuna.Study:
        return find_study(make_url(storage, self.folder), NAME)

    def trials(self) -> list[tuple[TrialState, float | None, dict[str, object]]]:
        return [(each.state, each.value, each.params) for each in list_trials(self.study())]


@pytest.fixture
def drawn(tmp_path: Path) -> Sweep:
    """A sweep that is judged by validation, on drawn images."""
    place = Sweep(tmp_path)
    write_data_set(place.data, train=8, test=1)
    return place


# ---------------------------------------------------------------- judged at hospitals held out


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """After two trials of two folds."""
    place = Sweep(tmp_path_factory.mktemp("held-out"), "holdout")
    write_hospitals(place.data)
    with pytest.MonkeyPatch.context() as patch:
        # Exporting takes longest of a fold, and has tests of its own.
        patch.setattr(fold_run, "export_fp32", lambda _, __, side: make_small_core(0, side))
        assert main(place.command(2, "--fold=adults,clinic", "--fold=wards")) == 0
    return place


def test_a_trials_figure_is_the_mean_auroc_of_covid_against_normal_at_its_folds(
    held_out: Sweep,
) -> None:
    trials = held_out.trials()
    assert [state for state, *_ in trials] == 2 * [TrialState.COMPLETE]
    for number, (_, value, _) in enumerate(trials):
        folder = held_out.folder / f"trial-{number}" / "holdout" / "wards"
        wards = read_answers(folder / "answers.npz")
        assert wards is not None
        scores = softmax(wards.logits, axis=1)[:, 1]
        single = wards.targets.sum(1) == 1
        sick = wards.held & wards.targets[:, 1] & single
        areas = []
        for source in ("adults", "clinic", "kids"):  # wards has no normal films of its own
            well = ~wards.held & (wards.sources == source) & wards.targets[:, 0] & single
            rows = sick | well
            areas.append(auroc(sick[rows], scores[rows], np.ones((1, rows.sum())))[0])
        steps = held_out.study().trials[number].intermediate_values
        assert list(steps) == [0, 1]
        assert 2 * steps[1] - steps[0] == pytest.approx(np.mean(areas))
        assert value == steps[1]


def test_each_trial_is_the_recipe_with_its_own_settings(held_out: Sweep) -> None:
    for number, (_, _, params) in enumerate(held_out.trials()):
        run = held_out.folder / f"trial-{number}" / "holdout" / "wards"
        told = tomllib.loads(held_out.space.read_text())["space"]
        assert params.keys() == told.keys()
        settings = (run / "config.json").read_text()
        assert all(
            f'"{name}":{value!r}' in re.sub(r"\s", "", settings) for name, value in params.items()
        )


def test_no_weights_are_kept_and_the_test_split_is_not_asked(held_out: Sweep) -> None:
    assert not list(held_out.folder.rglob("*.pt"))
    for path in held_out.folder.rglob("answers.npz"):
        answers = read_answers(path)
        assert answers is not None
        assert not [each for each in answers.paths.tolist() if Path(each).name.startswith("test")]


def test_the_table_has_the_best_first(held_out: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--name", NAME, "--runs", str(held_out.run.parent), "--show"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["trial", "state", "figure", "steps", "minutes", "settings"]
    figures = [float(row.split()[2]) for row in rows]
    assert figures == sorted(figures, reverse=True)
    assert "learning_rate=0.0" in rows[0]
    assert last == f"{NAME}: 2 complete"


def test_the_best_settings_are_a_recipe_that_trains(held_out: Sweep, tmp_path: Path) -> None:
    recipe = held_out.folder / "best.toml"
    _, value, params = max(held_out.trials(), key=lambda each: each[1] or 0)
    config = load_config(recipe, {})
    assert config.model_dump(include=set(params)) == params
    assert config.data == [held_out.data]
    assert f"(trial {[each[2] for each in held_out.trials()].index(params)})" in recipe.read_text()
    assert f"by hospitals held out: {value:.4f}" in recipe.read_text()
    assert main(["fit", "--recipe", str(recipe), "--runs", str(tmp_path / "runs")]) == 0
    assert (tmp_path / "runs" / NAME / "best.pt").exists()


# ---------------------------------------------------------------- adding up


def test_a_sweep_that_goes_on_tries_what_one_at_once_would(tmp_path: Path) -> None:
    told = []
    for steps in ([4], [1, 3, 3, 4]):
        (folder := tmp_path / str(len(steps))).mkdir()
        place = Sweep(folder)
        write_data_set(place.data, train=8, test=1)
        for trials in steps:
            assert main(place.command(trials)) == 0
            assert len(place.trials()) == trials
        told.append(place.trials())
    assert told[0] == told[1]
    assert len({str(params) for *_, params in told[0]}) == 4


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Cluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with cluster() as running:
        yield running


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_share_a_study_and_run_no_trial_twice(
    kind: str, drawn: Sweep, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    storage = str(tmp_path / "shared.db")
    if kind == "postgresql":
        storage = request.getfixturevalue("postgresql").make()
    said = [tmp_path / "first.txt", tmp_path / "second.txt"]
    processes = [worker.start(drawn.command(4, "--storage", storage), each) for each in said]
    for process, each in zip(processes, said, strict=True):
        process.join(120)
        assert process.exitcode == 0, each.read_text()
    study = drawn.study(storage)
    trials = list_trials(study)
    backend = study._storage._backend  # type: ignore[attr-defined]
    backend.remove_session()
    backend.engine.dispose()
    assert [trial.state for trial in trials] == 4 * [TrialState.COMPLETE]
    assert len({str(trial.params) for trial in trials}) == 4
    ran = {path.name for path in drawn.folder.glob("trial-*")}
    assert ran == {f"trial-{trial.number}" for trial in trials}
    assert not list(drawn.folder.glob("*.before-*"))  # no run was begun over another


def test_workers_are_processes_that_share_the_trials(
    drawn: Sweep, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "get_context", lambda _: worker.FORKS)  # spawned, they import torch
    assert main(drawn.command(2, "--workers", "2", "--quiet")) == 0  # of the real network
    assert f"{NAME}: 2 complete" in capfd.readouterr().out
    assert load_config(drawn.folder / "best.toml", {}).name == NAME


# ---------------------------------------------------------------- stopped, killed, failed


def stop_at_step(patch: pytest.MonkeyPatch, number: int, error: type[BaseException]) -> None:
    step, steps = Trainer._step, count(1)

    def stopping(trainer: Trainer, *batch: torch.Tensor) -> float:
        if next(steps) == number:
            raise error
        return step(trainer, *batch)

    patch.setattr(Trainer, "_step", stopping)


def test_a_trial_stopped_by_ctrl_c_is_gone_on_with(drawn: Sweep, say: Say) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at_step(patch, 4, KeyboardInterrupt)  # three steps an epoch: in the second one
        code, message = say(*drawn.command(2, "--epochs=3"))
    assert code == 130
    assert "stopped. The same command goes on" in message
    settings = [each.params for each in drawn.study().trials]
    assert main(drawn.command(2, "--epochs=3")) == 0
    trials = list_trials(drawn.study())
    assert [trial.state for trial in trials] == 2 * [TrialState.COMPLETE]
    assert trials[0].params == settings[0]
    assert {path.name for path in drawn.folder.glob("trial-*")} == {"trial-0", "trial-2"}
    history = (drawn.folder / "trial-0" / "history.csv").read_text()
    assert len(history.splitlines()) == 4


def test_a_killed_workers_trial_is_taken_up(
    drawn: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = worker.start(drawn.command(1, "--epochs=1000"), tmp_path / "said.txt")
    limit = time.monotonic() + 120
    while not (drawn.folder / "trial-0" / "best.pt").exists():
        assert time.monotonic() < limit
        assert process.is_alive(), (tmp_path / "said.txt").read_text()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (trial,) = list_trials(drawn.study())
    assert trial.state == TrialState.RUNNING  # as far as anybody knows
    monkeypatch.setattr(studies, "GRACE_S", 1)
    time.sleep(2)
    begun: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:

        def watch(config: object, *_: object) -> float:
            begun.append((config.run_folder / "last.pt").exists())  # type: ignore[attr-defined]
            return 0.5

        patch.setattr(sweep, "judge_validation", watch)
        assert main(drawn.command(1, "--epochs=1000")) == 0
    assert begun == [True]
    (again,) = list_trials(drawn.study())
    assert (again.state, again.params) == (TrialState.COMPLETE, trial.params)


def test_a_trial_that_diverges_is_recorded_and_the_others_go_on(
    drawn: Sweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = Trainer._step, count(1)
    monkeypatch.setattr(
        Trainer, "_step", lambda *given: float("nan") if next(steps) == 1 else step(*given)
    )
    assert main(drawn.command(2)) == 0
    assert [state for state, *_ in drawn.trials()] == [TrialState.FAIL, TrialState.COMPLETE]
    told = capsys.readouterr()
    assert "(diverged)" in told.out
    assert f"{NAME}: 1 complete, 1 fail" in told.out
    assert "Traceback" not in told.err


def test_a_trial_below_the_median_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Sweep(tmp_path, prune_after=1)
    write_data_set(place.data, train=8, test=1)
    figures = iter([[0.8, 0.9], [0.7, 0.95], [0.85, 0.91]])

    def judge(*given: object) -> float:
        report: Report = given[-1]  # type: ignore[assignment]
        for number, figure in enumerate(next(figures)):
            report(figure, number)
        return figure

    monkeypatch.setattr(sweep, "judge_validation", judge)
    assert main(place.command(3)) == 0
    trials = list_trials(place.study())
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert trials[1].intermediate_values == {0: 0.7}
    assert "(trial 2)" in (place.folder / "best.toml").read_text()


# ---------------------------------------------------------------- refused


def test_a_study_of_other_settings_or_data_is_refused_by_what_differs(
    drawn: Sweep, say: Say
) -> None:
    assert main(drawn.command(1)) == 0
    code, message = say(*drawn.command(2, "--batch-size=4"))
    assert code == 3
    assert f"The study {NAME} was begun with another batch_size: its trials" in message
    drawn.space.write_text(drawn.space.read_text().replace("1e-2", "1e-1"))
    assert "another space:" in say(*drawn.command(2))[1]
    assert len(drawn.trials()) == 1


@pytest.mark.parametrize(
    "storage", ["postgresql://neumo:s3cret@127.0.0.1:9/none", "oddbase://s3cret", "/proc/none/x.db"]
)
def test_a_database_that_is_not_there_is_said_without_its_url(
    storage: str, drawn: Sweep, say: Say
) -> None:
    code, message = say(*drawn.command(1, "--storage", storage))
    assert code == 3
    assert "The database that --storage names can't be used" in message
    assert "s3cret" not in message


def test_a_study_that_was_never_begun_can_not_be_shown(drawn: Sweep, say: Say) -> None:
    code, message = say("sweep", *drawn.arguments, "--show")
    assert code == 3
    assert f"holds no study {NAME}" in message


def test_folds_that_tell_nothing_of_covid_are_refused_before_any_trial(
    tmp_path: Path, say: Say
) -> None:
    place = Sweep(tmp_path, "holdout")
    shown = [("a", kind) for kind in LABEL_IDS] + [("b", "viral_pneumonia")]
    rows = [
        make_row(f"train-{source}-{kind}-{number}.png", "train", kind) | {"source": source}
        for source, kind in shown
        for number in range(8)
    ] + [make_row(f"test-{kind}.png", "test", kind) for kind in LABEL_IDS]
    write_manifest(place.data, rows)
    for row in rows:
        (place.data / row["path"]).touch()
    code, message = say(*place.command(1, "--fold=b"))
    assert code == 3
    assert "no fold has COVID-19 or normal images" in message
    assert not place.folder.exists() or not list(place.folder.glob("trial-*"))


def test_a_sweep_wants_a_space(drawn: Sweep, say: Say) -> None:
    assert say("sweep", *drawn.arguments, *SETTINGS)[0] == 2


def test_without_optuna_it_says_what_to_install_and_all_else_works(
    drawn: Sweep, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sweep", "study", "search_space", "sweep_table", "trial_run"):
        monkeypatch.delitem(sys.modules, f"training.sweep.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, message = say(*drawn.command(1))
    assert code == 3
    assert "pip install 'neumo[sweep]'" in message
    assert main(["data", "check", "--data", str(drawn.data)]) == 0
