"""A run's folder: its files, but for the events, appear whole or not at all.

==================  ============================================================
``config.json``     the settings
``environment.json``  versions, processor, threads, precision, commit
``last.pt``         all that `--resume` needs, after the last whole epoch
``best.pt``         the best epoch's weights: a plain torchvision state dict
``history.json``, ``history.csv``, ``curves.png``, ``events.*`` (TensorBoard)
``predictions.csv``  what the bundle made of it answers for validation and test
``holdout/``, ``holdout.json``  what `training.holdout` found, before or after the run
==================  ============================================================
"""

import csv
import io
import itertools
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import torch

from app.errors import NeumoError
from app.language import Text
from training.config import Config
from training.files import write_whole
from training.run.history import Epoch

_FREE_TO_CHANGE: Final = (
    {"name", "out", "runs", "licence", "intended_use", "limitations", "population"}
    | {"calibration_images", "calibration_method"}
    | {"priors", "temperature", "holdout", "risk", "risk_healthy", "risk_pneumonia"}
    | {"least_floor", "children", "weak_sets", "weigh", "collections"}
    # Paths: the images are compared themselves, and `starting_weights` tells the run's own.
    | {"data", "root", "weights"}
)

_BEFORE_IT_WAS_KNOWN: Final = {"accumulate": 1, "unlearned_sources": []}
"""What a run did whose settings don't name it yet."""

_STAYS: Final = ("holdout", "holdout.json", "sweep")

_UNREADABLE: Final = (
    OSError,  # no such file
    EOFError,  # an empty one
    pickle.UnpicklingError,  # no checkpoint; or, as its bytes may be taken for one:
    LookupError,
    RuntimeError,
    ValueError,
)


class RunMissing(NeumoError):
    """There is no fitted run to go on from."""

    code = "run_missing"
    title = Text("The run is missing", "Falta el entrenamiento")
    advice = Text(
        "{folder} holds no fitted run. First run `neumo-train fit` with this --name and --runs.",
        "{folder} no contiene ningún entrenamiento. Ejecute antes `neumo-train fit` con estos "
        "--name y --runs.",
    )


class RunDiffers(NeumoError):
    """The run to be resumed was started with other settings."""

    code = "run_differs"
    title = Text("The run has other settings", "El entrenamiento tiene otros ajustes")
    advice = Text(
        "{folder} was started with another {names}. Give the same, or start under a new --name.",
        "{folder} se inició con otro valor de {names}. Indique el mismo, o use otro --name.",
    )


class RunUnfinished(NeumoError):
    """The run was stopped before its last epoch."""

    code = "run_unfinished"
    title = Text("The run is not finished", "El entrenamiento no ha terminado")
    advice = Text(
        "{folder} was stopped after epoch {done} of {epochs}. First go on with `neumo-train fit "
        "--resume` and the same settings.",
        "{folder} se detuvo tras la época {done} de {epochs}. Continúe antes con `neumo-train fit "
        "--resume` y los mismos ajustes.",
    )


class RunFolder:
    """The folder of one run, read and written."""

    def __init__(self, config: Config) -> None:
        self.path = config.run_folder
        self._config = config

    def start(self, environment: Mapping[str, object]) -> None:
        """Write the settings and the environment; an earlier run of the name moves aside.

        What was found by leaving sources out is no run's, and stays.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        earlier = [path for path in self.path.iterdir() if path.name not in _STAYS]
        if earlier:
            number = next(n for n in itertools.count(1) if not self._aside(n).exists())
            self._aside(number).mkdir()
            for path in earlier:
                path.rename(self._aside(number) / path.name)
        write_whole(self.path / "config.json", self._config.model_dump_json(indent=2).encode())
        write_whole(self.path / "environment.json", json.dumps(environment, indent=2).encode())

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.before-{number}")

    def check_settings(self) -> None:
        """Make sure that the run here was fitted with these settings.

        Raises
        ------
        RunMissing
            If there is no run.
        RunDiffers
            If a setting differs that would give another result.
        """
        before = _BEFORE_IT_WAS_KNOWN | self._read_json("config.json")
        now = json.loads(self._config.model_dump_json())
        names = {name for name in now if now[name] != before.get(name)} - _FREE_TO_CHANGE
        if names:
            raise RunDiffers(folder=str(self.path), names=", ".join(sorted(names)))

    def starting_weights(self) -> str:
        """Return what the run was started from, whatever `weights` is now.

        Raises
        ------
        RunMissing
            If there is no run.
        """
        return str(self._read_json("config.json").get("weights", self._config.weights))

    def fitted_with(self) -> str:
        """Return the run's torch and processor, which need not be those that export it.

        Raises
        ------
        RunMissing
            If there is no run.
        """
        told = self._read_json("environment.json")
        try:
            return f"torch {told['packages']['torch']} on {told['processor']}"
        except (LookupError, TypeError):
            raise RunMissing(folder=str(self.path)) from None

    def _read_json(self, name: str) -> Any:  # noqa: ANN401 - whatever the file holds
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise RunMissing(folder=str(self.path)) from None

    def check_images(self, digest: str, state: Mapping[str, object]) -> None:
        """Make sure that a saved state saw these images, by their `digest`.

        Raises
        ------
        RunDiffers
            If it saw others: the manifest or a file was changed.
        """
        if state["images"] != digest:
            raise RunDiffers(folder=str(self.path), names="data (its images changed)")

    def resume(self) -> dict[str, Any]:
        """Return what `save` was given last.

        Raises
        ------
        RunMissing, RunDiffers
            As `check_settings` does; or if there is no checkpoint.
        """
        self.check_settings()
        return self._load("last.pt")

    def save(self, state: Mapping[str, object]) -> None:
        """Write `last.pt`."""
        save_whole(self.path / "last.pt", state)

    def save_best(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Write `best.pt`, for any machine to load."""
        save_whole(self.path / "best.pt", {name: value.cpu() for name, value in weights.items()})

    def load_best(self) -> dict[str, torch.Tensor]:
        """Return the best weights, on the CPU.

        Raises
        ------
        RunMissing
            If none were kept.
        """
        return self._load("best.pt")

    def _load(self, name: str) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(
                self.path / name, map_location="cpu", weights_only=True
            )
        except _UNREADABLE:
            raise RunMissing(folder=str(self.path)) from None
        return state

    def write_history(self, history: Sequence[Epoch]) -> None:
        """Write the history as JSON and as CSV."""
        lines = [asdict(epoch) for epoch in history]
        write_whole(self.path / "history.json", json.dumps(lines, indent=2).encode())
        table = io.StringIO()
        writer = csv.DictWriter(table, [field.name for field in fields(Epoch)])
        writer.writeheader()
        writer.writerows(lines)
        write_whole(self.path / "history.csv", table.getvalue().encode())

    def read_history(self) -> list[Epoch]:
        """Return the history.

        Raises
        ------
        RunMissing
            If no epoch was finished.
        """
        lines = self._read_json("history.json")
        try:
            history = [Epoch(**line) for line in lines]
        except TypeError:
            history = []
        if not history:
            raise RunMissing(folder=str(self.path))
        return history


def save_whole(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state dict so that it appears whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(path, buffer.getvalue())
