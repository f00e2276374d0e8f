"""training.devices: several processes give what one gives, and only the first one writes."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.server import free_port
from tests.training.devices import together
from tests.training.devices.together import TRAIN, VALIDATION, Settings, Work
from tests.training.drawings import write_data_set
from tests.training.fit import neumo_train
from training.commands import main
from training.devices.ranks import Ranks, cut, started_together, this_rank
from training.devices.shared_norm import share_norms

pytestmark = pytest.mark.xdist_group("ranks")

RUNS: dict[str, Settings] = {
    # With every step Adam lets what rounding changed grow: hence a learning rate so small.
    "a resnet": {"network": "slim", "learning_rate": 3e-5},
    "averaged, sampled": {
        "ema_decay": 0.9,
        "sampling_power": 0.5,
        "epoch_images": 34,
        "epochs": 2,
    },
    "accumulating": {"accumulate": 2, "batch_size": 8},
    "frozen": {"strategy": "frozen", "learning_rate": 4e-3},
    "with a teacher": {"teachers": 1},
    "as hospitals do": {"augmentation": "hospital", "amplitude_mixing": 0.5, "batch_size": 8},
}
FIGURES = ("train_loss", "validation_loss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks leave after all runs."""
    folder = tmp_path_factory.mktemp("together")
    finish(together.start(2, Work(folder, RUNS)), folder)
    return folder


def finish(processes: list[Any], folder: Path) -> None:
    for process in processes:
        process.join(120)
    told = "\n".join(path.read_text() for path in folder.glob("error-*.txt"))
    assert [process.exitcode for process in processes] == [0] * len(processes), told


def told_by(folder: Path, rank: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / f"rank-{rank}.json").read_text(encoding="utf-8"))
    return told


# ---------------------------------------------------------------- what one process gives


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_give_one_processes_losses(name: str, folder: Path, tmp_path: Path) -> None:
    alone = together.train(tmp_path, RUNS[name], (TRAIN, VALIDATION))
    for epoch, line in zip(alone, told_by(folder, 0)[name]["history"], strict=True):
        for figure in FIGURES:
            # Sums in another order: see docs/training.md
            assert line[figure] == pytest.approx(getattr(epoch, figure), abs=1e-5), figure
        assert line["learning_rate"] == epoch.learning_rate
        assert line["validation_macro_auroc"] == pytest.approx(
            epoch.validation_macro_auroc, abs=1e-3
        )


@pytest.mark.parametrize("name", RUNS)
def test_the_ranks_have_the_same_weights_to_the_bit_and_the_first_alone_writes(
    name: str, folder: Path
) -> None:
    first, second = (told_by(folder, rank)[name] for rank in (0, 1))
    assert len(set(first["weights"])) == len(first["weights"]) > 0
    assert second["weights"] == first["weights"]
    timeless = [[{**line, "seconds": 0} for line in each["history"]] for each in (first, second)]
    assert timeless[0] == timeless[1]
    assert (first["wrote"], second["wrote"]) == (True, False)
    (run,) = (folder / name).iterdir()
    assert len(list(run.glob("events.*"))) == 1
    assert json.loads((run / "environment.json").read_text())["processes"] == 2


def test_a_batch_of_fewer_images_than_ranks_is_learned_too(tmp_path: Path) -> None:
    changes: Settings = {"epoch_images": 18, "sampling_power": 0.5}  # 16, and 2 for three ranks
    finish(together.start(3, Work(tmp_path, {"three": changes})), tmp_path)
    alone = together.train(tmp_path / "alone", changes, (TRAIN, VALIDATION))
    lines = told_by(tmp_path, 2)["three"]["history"]
    expected = [epoch.train_loss for epoch in alone]
    assert [line["train_loss"] for line in lines] == pytest.approx(expected, abs=1e-5)


def test_bfloat16_gives_one_processes_loss_to_its_own_precision(tmp_path: Path) -> None:
    changes: Settings = {"precision": "bf16", "epochs": 1}
    finish(together.start(2, Work(tmp_path, {"half": changes})), tmp_path)
    (epoch,) = together.train(tmp_path / "alone", changes, (TRAIN, VALIDATION))
    (line,) = told_by(tmp_path, 0)["half"]["history"]
    assert line["train_loss"] == pytest.approx(epoch.train_loss, rel=2**-8)


def test_a_run_of_two_ranks_goes_on_to_the_bit_and_in_one_process_as_well(
    folder: Path, tmp_path: Path
) -> None:
    changes = RUNS["averaged, sampled"]
    finish(together.start(2, Work(tmp_path, {"run": changes}, stop_after=1)), tmp_path)
    one = tmp_path / "one"
    together.copy_run(tmp_path / "run", one)
    finish(together.start(2, Work(tmp_path, {"run": changes}, resume=True)), tmp_path)
    whole = told_by(folder, 0)["averaged, sampled"]
    assert told_by(tmp_path, 0)["run"]["weights"] == whole["weights"][1:]
    history = together.train(one, changes, (TRAIN, VALIDATION), resume=True)
    assert history[1].train_loss == pytest.approx(whole["history"][1]["train_loss"], abs=1e-5)


# ---------------------------------------------------------------- gradients accumulated


def test_two_batches_accumulated_are_one_twice_as_large(tmp_path: Path) -> None:
    same: Settings = {"strategy": "frozen", "learning_rate": 4e-3, "ema_decay": 0.5}
    two, one = (
        together.train(tmp_path / str(size), same | changes, (TRAIN, VALIDATION))
        for size, changes in ((1, {"batch_size": 8, "accumulate": 2}), (2, {"batch_size": 16}))
    )
    for ours, theirs in zip(two, one, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, abs=1e-5)
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, abs=1e-5)
        assert ours.learning_rate == theirs.learning_rate  # as many steps


# ---------------------------------------------------------------- one batch norm


def test_a_shared_batch_norm_is_torchs() -> None:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5)
    nn.init.normal_(plain.weight)
    shared = nn.Sequential(nn.BatchNorm2d(5))
    shared[0].load_state_dict(plain.state_dict())
    share_norms(shared)
    mine, theirs = (torch.randn(6, 5, 7, 7, generator=seeded()).requires_grad_() for _ in "ab")
    weights = torch.randn(6, 5, 7, 7)
    for norm, features in ((shared, mine), (plain, theirs)):
        (norm(features) * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    for ours, other in zip(shared.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, other.grad, rtol=1e-4, atol=1e-4)
    for own, buffer in zip(shared.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(own, buffer)
    torch.testing.assert_close(shared.eval()(mine), plain.eval()(theirs))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize(
    ("count", "parts", "sizes"), [(16, 2, [8, 8]), (7, 3, [3, 2, 2]), (2, 3, [1, 1, 0])]
)
def test_things_are_cut_into_even_parts_in_order(count: int, parts: int, sizes: list[int]) -> None:
    pieces = cut(count, parts)
    assert [piece.stop - piece.start for piece in pieces] == sizes
    assert [row for piece in pieces for row in range(count)[piece]] == list(range(count))


# ---------------------------------------------------------------- what goes wrong


def test_ranks_of_other_images_are_refused_by_what_differs(tmp_path: Path) -> None:
    processes = together.start(2, Work(tmp_path, {"run": {}}, other=1))
    for process in processes:
        process.join(120)
    assert all(process.exitcode for process in processes)
    for rank in (0, 1):
        told = (tmp_path / f"error-{rank}.txt").read_text(encoding="utf-8")
        assert "The processes of this training differ in: images." in told
    assert not (tmp_path / "run").exists()


class Pair:
    """`neumo-train fit` in two ranks, on drawn images."""

    def __init__(self, folder: Path, *more: str) -> None:
        (folder / "data").mkdir()
        self.said = folder / "said.txt"
        self.last = folder / "runs" / "neumo-drawn-1" / "last.pt"
        arguments = [
            *("fit", "--name", "neumo-drawn-1", "--runs", str(folder / "runs")),
            *("--data", str(write_data_set(folder / "data", train=3, test=1))),
            *("--weights", "random", "--precision", "fp32", "--epochs", "1000"),
            *("--side-px", "64", "--batch-size", "4", "--validation-share", "0.45", *more),
        ]
        together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self.processes = [
            neumo_train.start(
                arguments, self.said if rank == 0 else folder / "second.txt",
                {**together, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in (0, 1)
        ]  # fmt: skip
        limit = time.monotonic() + 120
        while not self.last.exists():
            assert time.monotonic() < limit
            assert self.processes[0].is_alive(), self.said.read_text()
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> str:
        """Send a signal to the second; return what the first one says as it ends."""
        second = self.processes[1]
        assert second.pid is not None
        os.kill(second.pid, number)
        self.processes[0].join(60)
        assert self.processes[0].exitcode == 3
        if second.is_alive():
            os.kill(second.pid, signal.SIGKILL)
        second.join(60)
        return self.said.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "more"),
    [(signal.SIGKILL, ()), (signal.SIGSTOP, ("--peer-timeout", "3"))],
    ids=["killed", "silent"],
)
def test_a_rank_that_dies_or_hangs_ends_the_others_with_a_sentence(
    number: signal.Signals, more: tuple[str, ...], tmp_path: Path
) -> None:
    said = Pair(tmp_path, *more).send(number)
    assert "Rank 0: another process of this training ended, or was silent" in said
    assert "--resume" in said
    assert "Traceback" not in said


def test_a_command_that_torchrun_can_not_start_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "x",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["data", "check", "--data", "nowhere"]) == 2
    assert "torchrun can start `run` and `fit` alone" in capsys.readouterr().err


def test_without_torchrun_a_process_is_alone() -> None:
    assert started_together({"WORLD_SIZE": "8", "RANK": "1"}) == Ranks()
    assert this_rank() == Ranks(0, 1)
    assert Ranks().sum(torch.ones(2)).tolist() == [1, 1]
    assert Ranks().share(lambda: b"own") == b"own"
