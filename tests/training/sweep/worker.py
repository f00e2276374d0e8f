"""`neumo-train sweep` in processes of its own, with a network that trains fast."""

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from tests.training.networks import build_small_model
from training import commands
from training.fit import trainer
from training.fit.torchvision_compat import import_torchvision
from training.run import progress
from training.sweep import sweep

import_torchvision()
assert sweep  # imported before the processes are forked

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def start(arguments: list[str], stderr: Path) -> BaseProcess:
    process = FORKS.Process(target=_run, args=(arguments, stderr))
    process.start()
    return process


def _run(arguments: list[str], stderr: Path) -> None:
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    torch.set_num_threads(1)
    commands.build_model = trainer.build_model = build_small_model
    progress.plot_curves = lambda *_: None
    sys.exit(commands.main(arguments))
