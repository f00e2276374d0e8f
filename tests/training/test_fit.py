"""training.fit: what an epoch changes, what is kept, and that a seed decides everything."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn import functional as F

from tests.training.networks import draw_images, make_config, make_image_set
from training import fit as fitting
from training.config import Config
from training.fit import Epoch, RunMissing, fit, load_best, load_history, predict
from training.metrics import macro_auroc
from training.model import GreyResNet, build_model

HEAD = {"fc.weight", "fc.bias"}
TRAIN, VALIDATION = make_image_set(16, seed=0), make_image_set(8, seed=1)


def fit_briefly(folder: Path, **changes: object) -> tuple[Config, list[Epoch]]:
    config = make_config(runs=folder, **changes)
    return config, fit(config, TRAIN, VALIDATION)


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


# ---------------------------------------------------------------- history and checkpoint


def test_the_same_seed_gives_the_same_history_and_weights(tmp_path: Path) -> None:
    first, once = fit_briefly(tmp_path / "1", epochs=2)
    second, twice = fit_briefly(tmp_path / "2", epochs=2)
    assert timeless(once) == timeless(twice)
    ours, theirs = (load_best(config).resnet.state_dict() for config in (first, second))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_seed_gives_another_history(tmp_path: Path) -> None:
    _, once = fit_briefly(tmp_path / "1", seed=1)
    _, twice = fit_briefly(tmp_path / "2", seed=2)
    assert once[0].train_loss != twice[0].train_loss


@pytest.mark.parametrize(
    ("scores", "best"), [([0.5, 0.9, 0.7], 2), ([0.9, 0.5, 0.9], 1)], ids=["highest", "first tie"]
)
def test_the_first_epoch_of_the_highest_macro_auroc_is_kept(
    scores: list[float], best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(scores)
    monkeypatch.setattr(fitting, "macro_auroc", lambda *_: next(left))
    config, history = fit_briefly(tmp_path, epochs=3)
    logits = predict(load_best(config), VALIDATION.images, config)
    losses = [epoch.validation_loss for epoch in history]
    loss = float(F.cross_entropy(logits, torch.from_numpy(VALIDATION.labels)))
    assert [loss == pytest.approx(other, abs=1e-4) for other in losses] == [
        number == best for number in (1, 2, 3)
    ]


def test_validation_figures_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    config, (epoch,) = fit_briefly(tmp_path)
    logits = predict(load_best(config), VALIDATION.images, config).numpy()
    assert epoch.validation_accuracy == (logits.argmax(1) == VALIDATION.labels).mean()
    probabilities = softmax(logits, axis=1)
    assert epoch.validation_macro_auroc == macro_auroc(VALIDATION.labels, probabilities)
    loss = -log_softmax(logits, axis=1)[range(8), VALIDATION.labels].mean()
    assert epoch.validation_loss == pytest.approx(loss, rel=1e-5)


def test_the_run_folder_holds_settings_history_and_checkpoint_and_nothing_else(
    tmp_path: Path,
) -> None:
    config, history = fit_briefly(tmp_path, epochs=2)
    assert {path.name for path in config.run_folder.iterdir()} == {
        "best.pt",
        "config.json",
        "history.json",
    }
    written = json.loads((config.run_folder / "config.json").read_text(encoding="utf-8"))
    assert Config.model_validate(written) == config
    assert load_history(config) == history
    assert [epoch.epoch for epoch in history] == [1, 2]


def test_a_checkpoint_is_a_plain_state_dict_to_evaluate_with(tmp_path: Path) -> None:
    config, _ = fit_briefly(tmp_path)
    state = torch.load(config.run_folder / "best.pt", weights_only=True)
    assert state.keys() == start_of(config).keys()
    assert not load_best(config).training


def test_a_run_that_was_never_fitted_is_missing_by_its_folder(tmp_path: Path) -> None:
    config = make_config(runs=tmp_path)
    with pytest.raises(RunMissing, match="holds no fitted run") as caught:
        load_history(config)
    assert str(config.run_folder) in str(caught.value)


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


def test_rarer_labels_weigh_more_by_the_root_of_their_share() -> None:
    labels = np.repeat(np.arange(4), [1, 4, 4, 16])
    weights = fitting._balanced_weights(labels).numpy()
    assert weights / weights[3] == pytest.approx([4, 2, 2, 1])
    assert weights[labels].mean() == pytest.approx(1)


def test_the_learning_rate_warms_up_in_a_line_and_falls_as_a_cosine() -> None:
    factor = fitting._warmup_cosine(make_config(warmup_share=0.2), 20)
    rates = [factor(step) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert rates[4] == 1
    assert rates[12] == pytest.approx(0.5)  # half-way down
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[19] < 0.02
