"""training.fit.trainer: what an epoch changes, what is kept, and that a seed decides everything."""

import json
import math
import shutil
from collections import Counter
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn import functional as F

from tests.training.networks import (
    build_small_model,
    draw_images,
    make_config,
    make_image_set,
)
from training.config import Config
from training.data.images import ImageSet
from training.fit import trainer as fitting
from training.fit.inference import predict, predict_with_maps
from training.fit.network import GreyResNet, build_model
from training.fit.trainer import Diverged, Trainer, fit, load_best
from training.metrics.metrics import macro_auroc
from training.run.checkpoint import RunFolder, RunMissing
from training.run.environment import describe_environment
from training.run.history import Epoch

HEAD = {"fc.weight", "fc.bias"}
TRAIN, VALIDATION = make_image_set(16, seed=0), make_image_set(8, seed=1)

small = pytest.mark.usefixtures("small_network")
quick = pytest.mark.usefixtures("small_network", "no_curves")


def fit_briefly(folder: Path, **changes: object) -> tuple[Config, list[Epoch]]:
    config = make_config(runs=folder, **changes)
    return config, fit(config, TRAIN, VALIDATION)


def score_epochs(patch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Let the epochs have these macro-AUROCs."""
    left = iter(scores)
    patch.setattr(fitting, "macro_auroc", lambda *_: next(left))


def kept_epochs(config: Config, history: list[Epoch]) -> list[int]:
    """Return the epochs whose validation loss is that of the weights kept."""
    logits = predict(load_best(config), VALIDATION.images, config)
    loss = float(F.cross_entropy(logits, torch.from_numpy(VALIDATION.labels)))
    return [
        epoch.epoch
        for epoch in history
        if epoch.validation_loss == pytest.approx(loss, rel=1e-6, abs=0)
    ]


def timeless(history: list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0) for epoch in history]


def start_of(config: Config) -> dict[str, Tensor]:
    """Return the state a run of this seed starts from."""
    torch.manual_seed(config.seed)
    state: dict[str, Tensor] = build_model(config).resnet.state_dict()
    return state


def changed(config: Config) -> set[str]:
    """Return the names of the state's entries that a run has changed."""
    start, end = start_of(config), load_best(config).resnet.state_dict()
    return {name for name in start if not torch.equal(start[name], end[name])}


# ---------------------------------------------------------------- what is trained


def test_frozen_changes_the_head_and_no_running_statistic(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path, strategy="frozen")
    assert changed(config) == HEAD


def test_finetune_changes_every_weight_and_running_statistic(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path, strategy="finetune")
    assert changed(config) == set(start_of(config))


def test_averaging_keeps_the_average_of_the_weights_and_statistics(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path, strategy="finetune", ema_decay=0.9)
    state = torch.load(config.run_folder / "last.pt", weights_only=True)
    kept, trained = load_best(config).resnet.state_dict(), state["model"]
    for name, value in kept.items():
        assert torch.equal(value, state["averaged"][f"module.resnet.{name}"])
    moving = {name for name, value in kept.items() if value.is_floating_point()}
    assert all(not torch.equal(kept[name], trained[f"resnet.{name}"]) for name in moving)


# ---------------------------------------------------------------- teachers


@quick
def test_teachers_are_trained_first_as_runs_of_other_seeds(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path, epochs=2, patience=1, teachers=2, seed=7)
    for number in (1, 2):
        alone, history = fit_briefly(tmp_path / "alone", epochs=2, seed=7 + 1000 * number)
        taught = config.run_folder / f"teacher-{number}"
        lines = json.loads((taught / "history.json").read_text(encoding="utf-8"))
        assert timeless([Epoch(**line) for line in lines]) == timeless(history)
        theirs, ours = (
            torch.load(path / "best.pt", weights_only=True) for path in (taught, alone.run_folder)
        )
        assert all(torch.equal(theirs[name], ours[name]) for name in ours)


@quick
def test_the_mean_answers_of_teachers_are_learned_whatever_the_labels() -> None:
    trainer = Trainer(make_config(label_smoothing=0.3, class_weights="balanced"), TRAIN)
    teachers = [build_small(seed) for seed in (1, 2, 3)]
    trainer.teachers = teachers
    images, rows = torch.from_numpy(TRAIN.images[:4]).float(), torch.tensor([0, 1, 2, 3])
    answers = np.mean([softmax(teacher(images).detach(), axis=1) for teacher in teachers], axis=0)
    logits = trainer.result.train()(images).detach()
    expected = -(answers * log_softmax(logits, axis=1)).sum(1).mean()
    before = [tuple(map(torch.clone, teacher.state_dict().values())) for teacher in teachers]
    assert trainer._step(images, rows.flip(0)) == pytest.approx(expected, rel=1e-5)
    for teacher, values in zip(teachers, before, strict=True):
        assert all(map(torch.equal, teacher.state_dict().values(), values))


def build_small(seed: int) -> GreyResNet:
    torch.manual_seed(seed)
    return build_small_model(make_config()).eval()


@quick
def test_a_finished_run_needs_its_teachers_no_more(tmp_path: Path) -> None:
    config, history = fit_briefly(tmp_path, teachers=1)
    shutil.rmtree(config.run_folder / "teacher-1")
    assert fit(config, TRAIN, VALIDATION, resume=True) == history
    assert not (config.run_folder / "teacher-1").exists()


# ---------------------------------------------------------------- history and checkpoint


@quick
def test_the_same_seed_gives_the_same_history_and_weights(tmp_path: Path) -> None:
    first, once = fit_briefly(tmp_path / "1", epochs=2)
    second, twice = fit_briefly(tmp_path / "2", epochs=2)
    assert timeless(once) == timeless(twice)
    ours, theirs = (load_best(config).resnet.state_dict() for config in (first, second))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@quick
def test_another_seed_gives_another_history(tmp_path: Path) -> None:
    _, once = fit_briefly(tmp_path / "1", seed=1)
    _, twice = fit_briefly(tmp_path / "2", seed=2)
    assert once[0].train_loss != twice[0].train_loss


@quick
@pytest.mark.parametrize(
    ("scores", "best"), [([0.5, 0.9, 0.7], 2), ([0.9, 0.5, 0.8], 1), ([0.5, 0.6, 0.7], 3)]
)
def test_the_epoch_of_the_highest_macro_auroc_is_kept(
    scores: list[float], best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, scores)
    config, history = fit_briefly(tmp_path, epochs=3)
    assert kept_epochs(config, history) == [best]


@quick
def test_of_epochs_of_equal_macro_auroc_the_one_of_least_validation_loss_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, [0.9, 0.9, 0.9])
    config, history = fit_briefly(tmp_path, epochs=3)
    least = min(history, key=lambda epoch: epoch.validation_loss)
    assert kept_epochs(config, history) == [least.epoch]


@quick
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_epochs_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = Trainer._step, count(1)

    def diverge(trainer: Trainer, images: Tensor, rows: Tensor) -> float:
        loss = step(trainer, images, rows)
        return loss if next(steps) <= 2 else math.nan

    monkeypatch.setattr(Trainer, "_step", diverge)
    with pytest.raises(Diverged, match=r"in epoch 2\. Give a smaller --learning-rate"):
        fit_briefly(tmp_path, epochs=3)
    folder = RunFolder(make_config(runs=tmp_path, epochs=3))
    history = folder.read_history()
    assert [epoch.epoch for epoch in history] == [1]
    assert folder.resume()["history"] == [asdict(history[0])]


@quick
def test_the_epoch_kept_saw_full_images_if_any_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, [0.9, 0.8, 0.5, 0.7])
    config, history = fit_briefly(tmp_path, epochs=4, small_epochs=2, small_side_px=64)
    assert [epoch.side_px for epoch in history] == [64, 64, 224, 224]
    assert kept_epochs(config, history) == [4]


@quick
def test_small_epochs_train_and_measure_on_smaller_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    step = Trainer._step

    def watch_step(trainer: Trainer, images: Tensor, rows: Tensor) -> float:
        seen.append(images.shape[2:])
        return step(trainer, images, rows)

    def watch_predict(model: GreyResNet, images: NDArray[np.uint8], config: Config) -> Tensor:
        seen.append(images.shape[2:])
        return predict(model, images, config)

    monkeypatch.setattr(Trainer, "_step", watch_step)
    monkeypatch.setattr(fitting, "predict", watch_predict)
    config = make_config(runs=tmp_path, epochs=2, small_epochs=1, small_side_px=64)
    fit(config, make_image_set(16, side=128), make_image_set(8, side=128))
    assert seen == 3 * [(64, 64)] + 3 * [(128, 128)]


@quick
@pytest.mark.parametrize(
    ("scores", "ran"),
    [
        ([0.5, 0.6, 0.55, 0.5, 0.9], 4),  # twice no better than the second
        ([0.5, 0.4, 0.6, 0.5, 0.7], 5),
        ([0.5, 0.4, 0.3, 0.6, 0.7], 3),
    ],
)
def test_patience_stops_after_so_many_epochs_without_gain(
    scores: list[float], ran: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, scores)
    _, history = fit_briefly(tmp_path, epochs=5, patience=2)
    assert len(history) == ran


@quick
def test_patience_starts_with_the_full_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    _, history = fit_briefly(tmp_path, epochs=6, patience=1, small_epochs=3)
    assert [epoch.side_px for epoch in history] == [160, 160, 160, 224, 224]


@quick
def test_without_patience_every_epoch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score_epochs(monkeypatch, [0.9, 0.8, 0.7, 0.6, 0.5])
    _, history = fit_briefly(tmp_path, epochs=5)
    assert len(history) == 5


@quick
def test_validation_figures_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    config, (epoch,) = fit_briefly(tmp_path, ema_decay=0.9)
    logits = predict(load_best(config), VALIDATION.images, config).numpy()
    assert epoch.validation_accuracy == (logits.argmax(1) == VALIDATION.labels).mean()
    probabilities = softmax(logits, axis=1)
    assert epoch.validation_macro_auroc == macro_auroc(VALIDATION.labels, probabilities)
    loss = -log_softmax(logits, axis=1)[range(8), VALIDATION.labels].mean()
    assert epoch.validation_loss == pytest.approx(loss, rel=1e-5)


@quick
def test_the_learning_rate_of_an_epoch_is_that_of_its_end(tmp_path: Path) -> None:
    _, history = fit_briefly(tmp_path, epochs=2, learning_rate=1e-3, warmup_share=0)
    rates = [epoch.learning_rate for epoch in history]
    assert rates == pytest.approx([7.5e-4, 0])  # a third down a cosine, and at its foot


@small
def test_the_run_folder_holds_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    config, history = fit_briefly(tmp_path, epochs=2)
    names = {path.name.partition(".out")[0] for path in config.run_folder.iterdir()}
    assert names == {
        "best.pt",
        "config.json",
        "curves.png",
        "environment.json",
        "events",
        "history.csv",
        "history.json",
        "last.pt",
    }
    written = json.loads((config.run_folder / "config.json").read_text(encoding="utf-8"))
    assert Config.model_validate(written) == config
    assert RunFolder(config).read_history() == history
    assert [epoch.epoch for epoch in history] == [1, 2]


@quick
def test_the_environment_is_that_of_the_run(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path, seed=3)
    written = (config.run_folder / "environment.json").read_text(encoding="utf-8")
    assert json.loads(written) == describe_environment(config)


@quick
def test_another_run_of_the_name_moves_the_first_aside(tmp_path: Path) -> None:
    config, first = fit_briefly(tmp_path, seed=1)
    fit_briefly(tmp_path, seed=2)
    aside = config.run_folder.with_name(f"{config.name}.before-1")
    lines = json.loads((aside / "history.json").read_text(encoding="utf-8"))
    assert [Epoch(**line) for line in lines] == first
    assert (aside / "best.pt").is_file()


def test_a_checkpoint_is_a_plain_state_dict_to_evaluate_with(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path)
    state = torch.load(config.run_folder / "best.pt", weights_only=True)
    assert state.keys() == start_of(config).keys()
    assert not load_best(config).training


def test_there_is_no_best_checkpoint_of_a_run_that_was_never_fitted(tmp_path: Path) -> None:
    with pytest.raises(RunMissing, match="holds no fitted run"):
        load_best(make_config(runs=tmp_path))


# ---------------------------------------------------------------- sets, sampling, sides


def make_mixed_set(seed: int = 0, side: int = 64) -> ImageSet:
    """Twelve images of single labels, three of a set, one of another finding."""
    plain = make_image_set(16, seed, side)
    targets = [*(each.targets for each in plain.samples[:12]), *3 * [frozenset({2, 3})]]
    samples = [
        replace(each, targets=own)
        for each, own in zip(plain.samples, [*targets, frozenset[int]()], strict=True)
    ]
    return ImageSet(plain.images, samples)


@quick
def test_an_epoch_is_judged_by_images_of_one_label(tmp_path: Path) -> None:
    mixed = make_mixed_set(1)
    config = make_config(runs=tmp_path)
    (epoch,) = fit(config, make_mixed_set(), mixed)
    labels = np.arange(12) % 4
    logits = predict(load_best(config), mixed.images[:12], config).numpy()
    assert epoch.validation_accuracy == (logits.argmax(1) == labels).mean()
    loss = -log_softmax(logits, axis=1)[range(12), labels].mean()
    assert epoch.validation_loss == pytest.approx(loss, rel=1e-5)


@quick
def test_a_step_learns_sets_as_sets_and_other_findings_as_none_of_the_four() -> None:
    train = make_mixed_set()
    trainer = Trainer(make_config(label_smoothing=0.1, class_weights="none"), train)
    rows = torch.tensor([1, 12, 15])
    images = torch.from_numpy(train.images[rows.numpy()]).float()
    logs = log_softmax(trainer.result.train()(images).detach().numpy(), axis=1)
    single = -0.9 * logs[0, 1] - 0.1 * logs[0].mean()
    among = -0.9 * np.log(np.exp(logs[1, 2:]).sum()) - 0.1 * logs[1].mean()
    expected = (single + among - logs[2].mean()) / 3
    assert trainer._step(images, rows) == pytest.approx(float(expected), rel=1e-5)


@quick
def test_an_epoch_shows_what_the_sampler_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    step = Trainer._step

    def watch(trainer: Trainer, images: Tensor, rows: Tensor) -> float:
        seen.extend(rows.tolist())
        return step(trainer, images, rows)

    monkeypatch.setattr(Trainer, "_step", watch)
    train = make_mixed_set()  # single labels of 3 images each, the set of 3, the other of 1
    config = make_config(runs=tmp_path, sampling_power=0, epoch_images=24, learning_rate=1e-3)
    (epoch,) = fit(config, train, VALIDATION)
    named = Counter(train.samples[row].named for row in seen)
    assert len(seen) == 24
    assert set(named.values()) == {4}
    assert epoch.learning_rate == 0  # the schedule counts 3 steps, and ends with them


@quick
def test_the_side_is_that_of_training_and_of_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []

    def watch(model: GreyResNet, images: NDArray[np.uint8], config: Config) -> Tensor:
        seen.append(images.shape[2:])
        return predict(model, images, config)

    monkeypatch.setattr(fitting, "predict", watch)
    config = make_config(runs=tmp_path, epochs=2, side_px=96, small_epochs=1, small_side_px=64)
    history = fit(config, make_image_set(16, side=128), make_image_set(8, side=128))
    assert [epoch.side_px for epoch in history] == [64, 96]
    assert seen == [(64, 64), (96, 96)]


@quick
def test_the_last_epoch_is_kept_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_epochs(monkeypatch, [0.9, 0.5, 0.8])
    config, history = fit_briefly(
        tmp_path, epochs=3, keep="last", ema_decay=0.9, sampling_power=0.5, epoch_images=24
    )
    assert len(history) == 3  # patience is 0: none is left out
    assert kept_epochs(config, history) == [3]
    state = torch.load(config.run_folder / "last.pt", weights_only=True)
    kept = load_best(config).resnet.state_dict()
    assert all(
        torch.equal(value, state["averaged"][f"module.resnet.{name}"])
        for name, value in kept.items()
    )


# ---------------------------------------------------------------- the parts


def test_predictions_are_the_networks_whatever_the_batches() -> None:
    torch.manual_seed(0)
    network = build_model(make_config())
    images = draw_images(70, side=32)  # more than one batch
    logits = predict(network.train(), images, make_config())
    assert not network.training
    torch.testing.assert_close(logits, forward(network, images), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def forward(network: GreyResNet, images: NDArray[np.uint8]) -> Tensor:
    outputs: Tensor = network(torch.from_numpy(images).float())
    return outputs


@quick
@pytest.mark.parametrize("smoothing", [0, 0.3])
@pytest.mark.parametrize("choice", ["none", "balanced"])
def test_the_loss_is_torchs_weighted_and_smoothed(smoothing: float, choice: str) -> None:
    config = make_config(label_smoothing=smoothing, class_weights=choice)
    trainer = Trainer(config, make_image_set(6))  # two labels twice
    images, rows = torch.from_numpy(TRAIN.images[:4]).float(), torch.tensor([0, 1, 2, 3])
    logits = trainer.result.train()(images).detach()
    smoothed = torch.full((4, 4), smoothing / 4) + (1 - smoothing) * torch.eye(4)
    weights = torch.tensor([1, 1, 1, 1] if choice == "none" else [0.75, 0.75, 1.5, 1.5])
    total = -(smoothed * weights * logits.log_softmax(1)).sum() / weights.sum()
    assert trainer._step(images, rows) == pytest.approx(float(total), rel=1e-5)


@quick
def test_however_huge_the_loss_the_gradient_of_a_step_is_clipped() -> None:
    trainer = Trainer(make_config(), TRAIN)
    head = trainer.result.resnet.fc
    with torch.no_grad():
        head.weight.mul_(1e4)  # sure of itself, and wrong
    images, rows = torch.from_numpy(TRAIN.images[:4]).float(), torch.tensor([0, 1, 2, 3])
    assert trainer._step(images, rows) > 100
    gradients = [parameter.grad for parameter in trainer.result.parameters()]
    norm = torch.cat([each.ravel() for each in gradients if each is not None]).norm()
    assert float(norm) == pytest.approx(5, rel=1e-3)


def test_maps_are_of_the_logits(network: GreyResNet, images: NDArray[np.uint8]) -> None:
    logits, maps = predict_with_maps(network, images, make_config())
    assert maps.shape == (3, 4, 7, 7)
    bias = network.resnet.fc.bias.detach().numpy()
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, logits, atol=1e-4)
    np.testing.assert_array_equal(logits, predict(network, images, make_config()).numpy())
