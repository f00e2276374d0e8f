"""A run that was stopped, by whatever and whenever, goes on as if it never had been."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.training.drawings import write_data_set
from tests.training.fit import neumo_train
from tests.training.networks import make_config, make_image_set
from tests.training.run.test_progress import expected, read_scalars
from training.commands import main
from training.config import Config
from training.fit.trainer import Trainer, fit
from training.run.checkpoint import RunDiffers, RunFolder, RunMissing
from training.run.history import Epoch
from training.run.progress import Journal

TRAIN, VALIDATION = make_image_set(16, side=128), make_image_set(8, seed=1, side=128)
EPOCHS, STEPS = 4, 2  # batches of 8
SETTINGS: dict[str, dict[str, object]] = {
    "plain": {},
    "averaged": {"ema_decay": 0.9},
    "small images first": {"small_epochs": 2, "small_side_px": 64},
    "frozen": {"strategy": "frozen"},
    "taught": {"teachers": 1, "epochs": 3},
    "sampled": {"sampling_power": 0.3, "epoch_images": 16, "keep": "last", "ema_decay": 0.9},
    "mixed": {"amplitude_mixing": 0.5, "augmentation": "hospital", "side_px": 96},
    "all": {"small_epochs": 2, "small_side_px": 64, "ema_decay": 0.9, "label_smoothing": 0.1},
}

quick = pytest.mark.usefixtures("small_network", "no_curves")


def start(folder: Path, **changes: object) -> Config:
    config = make_config(runs=folder, **({"epochs": EPOCHS} | changes))
    fit(config, TRAIN, VALIDATION)
    return config


def stop_before_step(patch: pytest.MonkeyPatch, number: int) -> None:
    """Press Ctrl-C in the middle of training, once."""
    step, steps = Trainer._step, count(1)

    def stopping(trainer: Trainer, *batch: torch.Tensor) -> float:
        if next(steps) == number:
            raise KeyboardInterrupt
        return step(trainer, *batch)

    patch.setattr(Trainer, "_step", stopping)


def start_and_stop(folder: Path, epoch: int, **changes: object) -> Config:
    """Start a run and stop it in the middle of an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        stop_before_step(patch, epoch * STEPS)
        with pytest.raises(KeyboardInterrupt):
            start(folder, **changes)
    return make_config(runs=folder, **({"epochs": EPOCHS} | changes))


def timeless(history: list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0) for epoch in history]


def read_run(folder: Path) -> dict[str, Any]:
    """Return all that a run leaves, but for how long it took."""
    state = torch.load(folder / "last.pt", weights_only=True)
    history = json.loads((folder / "history.json").read_text())
    for line in (*state["history"], *history):
        del line["seconds"]
    return {
        "best": torch.load(folder / "best.pt", weights_only=True),
        "last": state,
        "history": history,
        "side_px": [line["side_px"] for line in history],
    }


def assert_same_run(config: Config, other: Config) -> None:
    assert_same_folders(config.run_folder, other.run_folder)


def assert_same_folders(folder: Path, other: Path) -> None:
    ours, theirs = read_run(folder), read_run(other)
    assert ours["last"].pop("images") == theirs["last"].pop("images")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


# ---------------------------------------------------------------- to the bit


@quick
@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("epoch", [2, 3])
def test_a_resumed_run_is_the_run_that_was_never_stopped(
    changes: dict[str, object], epoch: int, tmp_path: Path
) -> None:
    whole = start(tmp_path / "whole", **changes)
    before = sum(each.epochs for each in whole.as_teachers)
    stopped = start_and_stop(tmp_path / "stopped", before + epoch, **changes)
    assert len(RunFolder(stopped).read_history()) == epoch - 1
    history = fit(stopped, TRAIN, VALIDATION, resume=True)
    assert history == RunFolder(stopped).read_history()
    assert_same_run(stopped, whole)


@quick
@pytest.mark.parametrize("epoch", [1, 2, 3, 4], ids=["first", "first's last", "second", "its last"])
def test_a_run_stopped_while_its_teachers_learn_goes_on_with_them(
    epoch: int, tmp_path: Path
) -> None:
    whole = start(tmp_path / "whole", epochs=2, teachers=2)
    stopped = start_and_stop(tmp_path / "stopped", epoch, epochs=2, teachers=2)
    fit(stopped, TRAIN, VALIDATION, resume=True)
    assert_same_run(stopped, whole)
    for ours, theirs in zip(stopped.as_teachers, whole.as_teachers, strict=True):
        assert_same_run(ours, theirs)
    assert sorted(path.name for path in stopped.run_folder.glob("teacher-*")) == [
        "teacher-1",
        "teacher-2",
    ]


@quick
def test_a_run_may_be_stopped_again_and_again(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", **SETTINGS["all"])
    stopped = start_and_stop(tmp_path / "stopped", 1, **SETTINGS["all"])
    for _ in range(EPOCHS - 1):
        with pytest.MonkeyPatch.context() as patch:
            stop_before_step(patch, STEPS + 1)  # one epoch further each time
            with pytest.raises(KeyboardInterrupt):
                fit(stopped, TRAIN, VALIDATION, resume=True)
    fit(stopped, TRAIN, VALIDATION, resume=True)
    assert_same_run(stopped, whole)


@quick
def test_ctrl_c_in_the_first_epoch_leaves_a_run_to_resume(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    stopped = start_and_stop(tmp_path / "stopped", 1)
    assert not (stopped.run_folder / "best.pt").exists()
    fit(stopped, TRAIN, VALIDATION, resume=True)
    assert_same_run(stopped, whole)


WRITES = [
    (RunFolder, "save_best"),
    (RunFolder, "save"),
    (RunFolder, "write_history"),
    (Journal, "write"),
]


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(("writer", "name"), WRITES, ids=[name for _, name in WRITES])
def test_a_run_stopped_before_any_of_its_last_writes_is_mended_by_a_resume(
    writer: type, name: str, tmp_path: Path
) -> None:
    whole = start(tmp_path / "whole", epochs=1)
    stopped = make_config(runs=tmp_path / "stopped", epochs=1)
    write, calls = getattr(writer, name), count()

    def stop(*arguments: object) -> None:
        if next(calls) == (name == "save"):  # the first of these is before any epoch
            raise KeyboardInterrupt
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, name, stop)
        with pytest.raises(KeyboardInterrupt):
            fit(stopped, TRAIN, VALIDATION)
    history = fit(stopped, TRAIN, VALIDATION, resume=True)
    assert_same_run(stopped, whole)
    assert read_scalars(stopped.run_folder) == expected(history)
    assert (stopped.run_folder / "history.csv").is_file()
    assert (stopped.run_folder / "curves.png").is_file()


# ---------------------------------------------------------------- what resuming leaves alone


@quick
def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    config = start(tmp_path, **SETTINGS["all"])
    kept = {path: path.read_bytes() for path in config.run_folder.glob("[!e]*")}
    assert {"best.pt", "last.pt", "history.json"} <= {path.name for path in kept}
    history = RunFolder(config).read_history()
    assert fit(config, TRAIN, VALIDATION, resume=True) == history
    assert {path: path.read_bytes() for path in config.run_folder.glob("[!e]*")} == kept
    assert read_scalars(config.run_folder) == expected(history)


@quick
def test_resuming_a_run_that_stopped_early_trains_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr("training.fit.trainer.macro_auroc", lambda *_: next(falling))
    config = start(tmp_path, patience=2)
    history = RunFolder(config).read_history()
    assert len(history) == 3
    assert fit(config, TRAIN, VALIDATION, resume=True) == history


@quick
def test_a_resumed_run_has_one_events_file_and_its_first_environment(tmp_path: Path) -> None:
    config = start_and_stop(tmp_path, 3)
    environment = (config.run_folder / "environment.json").read_bytes()
    history = fit(config, TRAIN, VALIDATION, resume=True)
    assert read_scalars(config.run_folder) == expected(history)
    assert (config.run_folder / "environment.json").read_bytes() == environment
    assert list(tmp_path.iterdir()) == [config.run_folder]  # nothing moved aside


# ---------------------------------------------------------------- what can't be resumed


@quick
def test_other_settings_are_refused_and_leave_the_run_as_it_is(tmp_path: Path) -> None:
    config = start_and_stop(tmp_path, 2)
    kept = {path: path.read_bytes() for path in config.run_folder.iterdir()}
    other = config.model_copy(update={"epochs": 9, "ema_decay": 0.5, "licence": "CC0"})
    with pytest.raises(RunDiffers, match=r"another ema_decay, epochs\. Give the same"):
        fit(other, TRAIN, VALIDATION, resume=True)
    assert {path: path.read_bytes() for path in config.run_folder.iterdir()} == kept


@quick
def test_another_licence_or_calibration_is_none_of_the_runs_settings(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    stopped = start_and_stop(tmp_path / "stopped", 2)
    other = stopped.model_copy(update={"licence": "CC0", "calibration_method": "entropy"})
    fit(other, TRAIN, VALIDATION, resume=True)
    assert_same_run(other, whole)


@quick
def test_other_images_are_refused(tmp_path: Path) -> None:
    config = start_and_stop(tmp_path, 2)
    with pytest.raises(RunDiffers, match=r"another data \(its images changed\)"):
        fit(config, VALIDATION, TRAIN, resume=True)


@quick
def test_a_data_set_that_was_moved_is_the_same_if_its_images_are(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    stopped = start_and_stop(tmp_path / "stopped", 2)
    moved = stopped.model_copy(update={"data": [Path("elsewhere/manifest.csv")]})
    fit(moved, TRAIN, VALIDATION, resume=True)
    assert_same_run(moved, whole)


@quick
def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    config = make_config(runs=tmp_path)
    with pytest.raises(RunMissing, match="holds no fitted run"):
        fit(config, TRAIN, VALIDATION, resume=True)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- a real process


class Command:
    """`neumo-train fit` on drawn images, in processes of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self.run = folder / "runs" / "neumo-drawn-1"
        self.said = folder / "said.txt"
        self.arguments = [
            *("fit", "--name", self.run.name),
            *("--data", str(write_data_set(folder / "data", train=3, test=1))),
            *("--runs", str(folder / "runs"), "--weights", "random", "--precision", "fp32"),
            *("--epochs", "4", "--small-epochs", "4", "--small-side-px", "64"),
            *("--batch-size", "4", "--validation-share", "0.45", "--ema-decay", "0.9"),
        ]

    def start_and_send(self, number: signal.Signals, delay: float, *more: str) -> tuple[int, str]:
        """Send a signal so long after the next `last.pt`; return the exit code and what it said."""
        before = self.last_saved()
        process = neumo_train.start([*self.arguments, *more], self.said)
        wait_until(lambda: self.last_saved() != before or not process.is_alive())
        time.sleep(delay)
        if process.is_alive():
            os.kill(process.pid, number)
        process.join(timeout=120)
        assert process.exitcode is not None, "it did not stop"
        return process.exitcode, self.said.read_text(encoding="utf-8")

    def last_saved(self) -> int:
        path = self.run / "last.pt"
        return path.stat().st_mtime_ns if path.exists() else 0

    def check_files(self) -> None:
        """Every file that goes by its name is whole, whatever lies beside it."""
        for path in self.run.glob("*.pt"):
            assert torch.load(path, weights_only=True), path
        for path in self.run.glob("*.json"):
            assert json.loads(path.read_text(encoding="utf-8")), path


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_a_process_stopped_and_killed_at_any_moment_resumes_to_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(tmp_path)
    code, message = command.start_and_send(signal.SIGTERM, 0)
    assert code == 130, message
    assert "the same command with --resume goes on" in message
    assert "Traceback" not in message
    command.check_files()
    delays = random.Random()  # noqa: S311 - another moment each time
    for _ in range(2):
        code, _ = command.start_and_send(signal.SIGKILL, delays.uniform(0, 2.5), "--resume")
        assert code in {-signal.SIGKILL, 0}  # or it was faster
        command.check_files()
    monkeypatch.chdir(ROOT)
    assert main([*command.arguments, "--resume"]) == 0
    assert not list(command.run.glob("*.partial"))
    assert len(list(command.run.glob("events.*"))) == 1
    assert main([*command.arguments, "--runs", str(tmp_path / "whole")]) == 0
    assert_same_folders(command.run, tmp_path / "whole" / command.run.name)
