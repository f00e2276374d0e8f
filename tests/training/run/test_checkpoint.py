"""training.run.checkpoint: a run's files are whole or absent, and no run is lost."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tests.training.networks import make_config
from tests.training.test_files import file_size_limited
from training.run.checkpoint import RunDiffers, RunFolder, RunMissing
from training.run.history import Epoch, best_epoch


def make_epoch(number: int, score: float = 0.5, side_px: int = 224, loss: float = 2 / 3) -> Epoch:
    return Epoch(number, side_px, 1e-4 / 3, 1 / 3, loss, 0.625, score, 12.5)


# ---------------------------------------------------------------- whole or not at all


def test_a_checkpoint_that_cant_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    folder.save({"history": [1]})
    with file_size_limited(1000), pytest.raises(OSError, match="File too large"):
        folder.save({"history": [2], "model": torch.zeros(10_000)})
    assert folder.resume() == {"history": [1]}


# ---------------------------------------------------------------- settings


def test_the_settings_and_the_environment_are_written_at_the_start(tmp_path: Path) -> None:
    config = make_config(runs=tmp_path, learning_rate=1e-5)
    RunFolder(config).start({"seed": 3})
    written = (config.run_folder / "config.json").read_text(encoding="utf-8")
    assert type(config).model_validate_json(written) == config
    assert json.loads((config.run_folder / "environment.json").read_text()) == {"seed": 3}


def test_a_run_tells_the_torch_and_the_processor_it_was_fitted_with(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({"packages": {"torch": "9.8.7"}, "processor": "Abacus 3"})
    assert folder.fitted_with() == "torch 9.8.7 on Abacus 3"


@pytest.mark.parametrize("environment", [{}, {"packages": {}, "processor": "x"}, {"packages": 1}])
def test_a_run_without_its_environment_is_missing(
    environment: dict[str, object], tmp_path: Path
) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start(environment)
    with pytest.raises(RunMissing):
        folder.fitted_with()
    (folder.path / "environment.json").unlink()
    with pytest.raises(RunMissing):
        folder.fitted_with()


def test_a_new_run_of_the_name_moves_the_one_before_aside(tmp_path: Path) -> None:
    config = make_config(runs=tmp_path)
    for number in range(3):
        folder = RunFolder(config)
        folder.start({})
        folder.save_best({"number": torch.tensor(number)})
        folder.write_history([make_epoch(number + 1)])
    name = config.run_folder.name
    kept = {
        path.name: int(torch.load(path / "best.pt", weights_only=True)["number"])
        for path in tmp_path.iterdir()
    }
    assert kept == {f"{name}.before-1": 0, f"{name}.before-2": 1, name: 2}
    assert all((path / "history.json").exists() for path in tmp_path.iterdir())


def test_a_run_is_resumed_from_what_was_saved_last(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    for number in (1, 2):
        folder.save({"number": number, "weight": torch.tensor([0.5 * number])})
    state = RunFolder(make_config(runs=tmp_path)).resume()
    torch.testing.assert_close(state, {"number": 2, "weight": torch.tensor([1.0])})


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    folder.save({})
    changed = make_config(runs=tmp_path, seed=5, batch_size=4, licence="CC0")
    with pytest.raises(RunDiffers, match=r"another batch_size, seed\. Give the same") as caught:
        RunFolder(changed).resume()
    assert str(folder.path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"licence": "CC0"},
        {"intended_use": "teaching"},
        {"limitations": ["few images"]},
        {"out": "elsewhere"},
        {"calibration_images": 8},
        {"calibration_method": "entropy"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_no_weight_may_change(change: dict[str, object], tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    folder.save({"number": 1})
    assert RunFolder(make_config(runs=tmp_path, **change)).resume() == {"number": 1}


def test_a_setting_that_the_run_did_not_know_yet_is_another_setting(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    folder.save({})
    path = folder.path / "config.json"
    settings = json.loads(path.read_text())
    del settings["ema_decay"]
    path.write_text(json.dumps(settings))
    with pytest.raises(RunDiffers, match="another ema_decay"):
        folder.resume()


def test_a_run_of_before_gradients_were_accumulated_did_not(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    folder.save({"number": 1})
    path = folder.path / "config.json"
    settings = json.loads(path.read_text())
    del settings["accumulate"]
    path.write_text(json.dumps(settings))
    assert folder.resume() == {"number": 1}
    with pytest.raises(RunDiffers, match="another accumulate"):
        RunFolder(make_config(runs=tmp_path, accumulate=2)).resume()


# ---------------------------------------------------------------- missing or broken


def test_a_run_that_was_never_fitted_is_missing_by_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    for read in (folder.resume, folder.load_best, folder.read_history):
        with pytest.raises(RunMissing, match="holds no fitted run") as caught:
            read()
        assert str(folder.path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"], ids=["empty", "text", "zip"])
def test_a_broken_checkpoint_counts_as_missing(content: bytes, tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    for name, read in (("last.pt", folder.resume), ("best.pt", folder.load_best)):
        (folder.path / name).write_bytes(content)
        with pytest.raises(RunMissing):
            read()


@pytest.mark.parametrize("content", ["", "[]", "[{}]", '{"epoch": 1}'])
def test_a_broken_or_empty_history_counts_as_missing(content: str, tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    (folder.path / "history.json").write_text(content)
    with pytest.raises(RunMissing):
        folder.read_history()


# ---------------------------------------------------------------- history


def test_the_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    history = [make_epoch(1), make_epoch(2, score=2 / 7)]
    folder.write_history(history)
    assert folder.read_history() == history


def test_the_table_holds_the_same_figures_to_the_last_digit(tmp_path: Path) -> None:
    folder = RunFolder(make_config(runs=tmp_path))
    folder.start({})
    history = [make_epoch(1), make_epoch(2, score=2 / 7)]
    folder.write_history(history)
    with (folder.path / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [{name: float(value) for name, value in row.items()} for row in rows]
    assert lines == [asdict(epoch) for epoch in history]
    assert lines == json.loads((folder.path / "history.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.5, 0.9, 0.7], 2), ([0.9, 0.5, 0.7], 1), ([0.5, 0.6, 0.7], 3), ([0.5], 1)],
)
def test_the_best_epoch_is_of_the_highest_macro_auroc(scores: list[float], best: int) -> None:
    history = [make_epoch(number, score) for number, score in enumerate(scores, start=1)]
    assert best_epoch(history) is history[best - 1]


@pytest.mark.parametrize(
    ("losses", "best"), [([0.4, 0.3, 0.5], 2), ([0.5, 0.5, 0.4], 3), ([0.4, 0.5, 0.4], 1)]
)
def test_of_equals_the_best_epoch_is_the_first_of_the_least_validation_loss(
    losses: list[float], best: int
) -> None:
    history = [make_epoch(number, loss=loss) for number, loss in enumerate(losses, start=1)]
    worse = make_epoch(4, score=0.4, loss=0.1)
    assert best_epoch([*history, worse]) is history[best - 1]


def test_the_best_epoch_saw_images_of_the_last_side() -> None:
    small = [make_epoch(1, 0.99, side_px=160), make_epoch(2, 0.98, side_px=160)]
    assert best_epoch(small).epoch == 1
    full = [*small, make_epoch(3, 0.7)]
    assert best_epoch(full).epoch == 3
    assert best_epoch([*full, make_epoch(4, 0.8), make_epoch(5, 0.75)]).epoch == 4
