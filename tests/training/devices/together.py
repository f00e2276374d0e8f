"""Ranks of one training for tests: processes that join over a free port of this machine."""

import hashlib
import json
import multiprocessing
import os
import shutil
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from tests.server import free_port
from tests.training.networks import (
    build_slim_resnet,
    build_small_model,
    make_config,
    make_image_set,
)
from training.config import Config
from training.data.images import ImageSet
from training.devices.ranks import join_ranks
from training.fit import trainer as fitting
from training.fit.network import GreyResNet
from training.fit.torchvision_compat import import_torchvision
from training.fit.trainer import Trainer, fit
from training.meter import show
from training.run import progress
from training.run.history import Epoch

import_torchvision()

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])

TRAIN, VALIDATION = make_image_set(40, side=96), make_image_set(70, seed=1, side=96)
Settings = dict[str, object]


def configure(folder: Path, changes: Settings) -> Config:
    base: Settings = {"learning_rate": 1e-4, "batch_size": 16, "side_px": 96}
    own = {name: value for name, value in (base | changes).items() if name != "network"}
    return make_config(runs=folder, **own)


def build(changes: Settings) -> GreyResNet:
    if changes.get("network") == "slim":
        return build_slim_resnet(make_config())
    model = build_small_model(make_config())
    # In front of a batch norm a bias does nothing: its gradient is rounding, Adam's step no less.
    model.resnet.conv1.bias = None
    return model


def train(
    folder: Path,
    changes: Settings,
    sets: tuple[ImageSet, ImageSet],
    *,
    resume: bool = False,
    stop_after: int | None = None,
) -> list[Epoch]:
    """Train in this process, alone or together with those it has joined."""

    def stop(history: Sequence[Epoch]) -> None:
        if len(history) == stop_after:
            raise KeyboardInterrupt

    config = configure(folder, changes)
    before = fitting.build_model, progress.plot_curves
    fitting.build_model = lambda _: build(changes)
    progress.plot_curves = lambda *_: None
    try:
        with show("nothing"):
            return fit(config, *sets, resume=resume, watch=stop)
    except KeyboardInterrupt:
        return []
    finally:
        fitting.build_model, progress.plot_curves = before


def copy_run(run: Path, to: Path) -> None:
    shutil.copytree(run, to)


def start(size: int, work: "Work") -> list[BaseProcess]:
    """Start so many ranks, which do the same work and write what they found below its folder."""
    port = str(free_port())
    processes = []
    for rank in range(size):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        process = _FORKS.Process(target=_join, args=(environment, work))
        process.start()
        processes.append(process)
    return processes


class Work:
    """Trainings by several settings, one after the other.

    Parameters
    ----------
    other : the rank that gets other images
    """

    def __init__(
        self,
        folder: Path,
        runs: dict[str, Settings],
        *,
        other: int | None = None,
        resume: bool = False,
        stop_after: int | None = None,
    ) -> None:
        self.folder, self.runs, self.other = folder, runs, other
        self.how = {"resume": resume, "stop_after": stop_after}

    def do(self, rank: int) -> None:
        """Do it as one rank; write its histories and digests of its weights after each epoch."""
        digests: list[str] = []
        answer = Trainer.answer

        def watch(trainer: Trainer, *arguments: object) -> torch.Tensor:
            state = trainer._model.state_dict().values()
            content = b"".join(each.contiguous().numpy().tobytes() for each in state)
            digests.append(hashlib.sha256(content).hexdigest())
            return answer(trainer, *arguments)  # type: ignore[arg-type]

        Trainer.answer = watch  # type: ignore[method-assign,assignment]
        told = {}
        sets = (VALIDATION, TRAIN) if rank == self.other else (TRAIN, VALIDATION)
        for name, changes in self.runs.items():
            digests.clear()
            folder = self.folder / f"{name} {rank}" if rank else self.folder / name
            history = train(folder, changes, sets, **self.how)  # type: ignore[arg-type]
            told[name] = {
                "history": [asdict(epoch) for epoch in history],
                "weights": list(digests),
                "wrote": folder.exists(),
            }
        (self.folder / f"rank-{rank}.json").write_text(json.dumps(told), encoding="utf-8")


def _join(environment: dict[str, str], work: Work) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    rank = int(environment["RANK"])
    try:
        with join_ranks(60):
            work.do(rank)
    except Exception:
        (work.folder / f"error-{rank}.txt").write_text(traceback.format_exc(), encoding="utf-8")
        raise
