"""`neumo-train` in processes of its own, forked from one that has imported all it needs."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from training.commands import main
from training.fit.torchvision_compat import import_torchvision

import_torchvision()

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def start(
    arguments: list[str], stderr: Path, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """Start a command that writes its standard error to a file."""
    process = _FORKS.Process(target=_run, args=(arguments, stderr, dict(environment or {})))
    process.start()
    return process


def _run(arguments: list[str], stderr: Path, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    torch.set_num_threads(1)  # as in the tests: so that the results are equal to the bit
    sys.exit(main(arguments))
