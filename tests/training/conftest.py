"""What the tests of the training half share: one thread, one network, a place to work in."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.networks import build_small_model, draw_images, make_network
from tests.training.workplace import Say, Workplace, one_thread
from training.commands import main
from training.fit import trainer as fitting
from training.fit.network import GreyResNet
from training.run import progress


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fit` train a small network: what is specified holds for any."""
    monkeypatch.setattr(fitting, "build_model", build_small_model)


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longest of a short epoch."""
    monkeypatch.setattr(progress, "plot_curves", lambda *_: None)


@pytest.fixture(scope="session")
def network() -> GreyResNet:
    """A network in evaluation mode; not to be changed."""
    return make_network()


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Three images."""
    return draw_images(3)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A workplace whose data set is still empty."""
    return Workplace(tmp_path)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run the command; return its exit code and what it wrote to standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, capsys.readouterr().err

    return run
