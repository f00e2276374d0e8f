"""Where a command of the training half works in tests: its folders and its arguments."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.training.networks import build_slim_resnet
from training import commands
from training.fit import trainer
from training.measure import audit, stress
from training.metrics import reliability
from training.release import tail

NAME = "neumo-drawn-3"
Say = Callable[..., tuple[int, str]]


class Workplace:
    """Folders of a run, and the arguments that name them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.bundle = folder / "models" / NAME
        self.run = folder / "runs" / NAME
        self.arguments = [
            *("--name", NAME),
            *("--data", str(self.data)),
            *("--out", str(folder / "models")),
            *("--runs", str(folder / "runs")),
        ]

    def arguments_on(self, data: Path) -> list[str]:
        """Return the arguments with another data set instead of its own."""
        return [str(data) if each == str(self.data) else each for each in self.arguments]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: several wait for one another where tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Train a narrow network, choose by however few, and leave out most of the audit."""
    patch.setattr(commands, "build_model", build_slim_resnet)
    patch.setattr(trainer, "build_model", build_slim_resnet)
    shorten_audit(patch)
    patch.setattr(reliability, "LEAST_IMAGES", 1)
    patch.setattr(reliability, "LEAST_PATIENTS", 1)


def shorten_audit(patch: pytest.MonkeyPatch) -> None:
    """Leave out most of the audit, which takes longest of a run: it has tests of its own."""
    patch.setattr(stress, "CHANGES", {"blurred_1_px": stress.CHANGES["blurred_1_px"]})
    patch.setattr(audit, "_SHARES", (0.0, 0.33))
    patch.setattr(tail, "_MOST_TURNED", 8)
