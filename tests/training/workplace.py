"""Where a command of the training half works in tests: its folders and its arguments."""

from collections.abc import Callable
from pathlib import Path

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
