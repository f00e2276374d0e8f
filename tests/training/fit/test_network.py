"""training.fit.network: the network, its starting weights, and what of it is trained."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.training.networks import make_config
from training.fit.network import (
    GreyResNet,
    WeightsError,
    build_model,
    parameter_groups,
    set_training_mode,
)
from training.fit.torchvision_compat import import_torchvision

HEAD = {"resnet.fc.weight", "resnet.fc.bias"}


@pytest.fixture(scope="module")
def state_dict() -> dict[str, Tensor]:
    """A plain torchvision ResNet-18's."""
    torch.manual_seed(7)
    state: dict[str, Tensor] = import_torchvision().resnet18(weights=None).state_dict()
    return state


def save(content: object, path: Path) -> str:
    torch.save(content, path)
    return str(path)


# ---------------------------------------------------------------- input rule


def test_the_logits_are_the_resnets_on_three_equal_normalised_channels(
    network: GreyResNet, images: NDArray[np.uint8]
) -> None:
    grey = (images.astype(np.float32) / 255 - 122 / 255) / 0.24
    with torch.inference_mode():
        expected = network.resnet(torch.from_numpy(grey.repeat(3, axis=1)))
        logits = network(torch.from_numpy(images).float())
    assert logits.shape == (3, 4)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- starting weights


def test_a_state_dicts_weights_are_the_starting_weights(
    state_dict: dict[str, Tensor], tmp_path: Path
) -> None:
    network = build_model(make_config(weights=save(state_dict, tmp_path / "w.pth")))
    loaded = network.resnet.state_dict()
    assert loaded.keys() == state_dict.keys()
    backbone = [name for name in loaded if not name.startswith("fc.")]
    assert all(torch.equal(loaded[name], state_dict[name]) for name in backbone)


def test_the_checkpoint_of_a_run_can_be_started_from(tmp_path: Path) -> None:
    before = build_model(make_config()).resnet.state_dict()  # its head has four outputs
    network = build_model(make_config(weights=save(before, tmp_path / "best.pt")))
    assert torch.equal(network.resnet.conv1.weight, before["conv1.weight"])
    assert not torch.equal(network.resnet.fc.weight, before["fc.weight"])


def test_half_precision_weights_are_read_as_float32(
    state_dict: dict[str, Tensor], tmp_path: Path
) -> None:
    halved = {name: value.half() for name, value in state_dict.items()}
    network = build_model(make_config(weights=save(halved, tmp_path / "w.pth")))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    expected = state_dict["conv1.weight"].half().float()
    assert torch.equal(network.resnet.conv1.weight, expected)


def test_the_head_is_fresh_with_an_output_a_label(
    state_dict: dict[str, Tensor], tmp_path: Path
) -> None:
    network = build_model(make_config(weights=save(state_dict, tmp_path / "w.pth")))
    assert network.resnet.fc.weight.shape == (4, 512)
    assert network.resnet.fc.bias.shape == (4,)


def write_no_checkpoint(path: Path) -> None:
    path.write_text("weights")


def write_nothing(path: Path) -> None:
    path.touch()


def write_another_networks(path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), path)


def write_nested(path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {}}, path)


def write_a_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def leave_missing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    "write",
    [
        leave_missing,
        write_nothing,
        write_no_checkpoint,
        write_another_networks,
        write_nested,
        write_a_tensor,
    ],
)
def test_unusable_weights_are_refused_by_name_with_what_to_give(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        build_model(make_config(weights=str(tmp_path / "w.pth")))
    message = str(caught.value)
    assert str(tmp_path / "w.pth") in message
    assert "--weights the path of a torchvision ResNet-18 state dict" in message


def test_imagenet_weights_without_a_connection_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise URLError("no network")

    import_torchvision()
    monkeypatch.setattr(sys.modules["torchvision.models._api"], "load_state_dict_from_url", fail)
    with pytest.raises(WeightsError, match=r"IMAGENET1K_V1: URLError.*a connection"):
        build_model(make_config(weights="IMAGENET1K_V1"))


# ---------------------------------------------------------------- strategies


def trainable(network: GreyResNet) -> set[str]:
    return {name for name, value in network.named_parameters() if value.requires_grad}


def test_frozen_trains_the_head_only() -> None:
    assert trainable(build_model(make_config(strategy="frozen"))) == HEAD


def test_finetune_trains_every_parameter() -> None:
    network = build_model(make_config(strategy="finetune"))
    assert trainable(network) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(("strategy", "training"), [("frozen", False), ("finetune", True)])
def test_batch_norms_follow_the_batches_only_when_finetuning(strategy: str, training: bool) -> None:
    network = build_model(make_config())
    set_training_mode(network, strategy)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert {norm.training for norm in norms} == {training}


def settings_by_name(**changes: object) -> dict[str, dict[str, Any]]:
    """Return what the optimiser is told of each trainable parameter, which it is told once."""
    config = make_config(**changes)
    network = build_model(config)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    told: dict[str, dict[str, Any]] = {}
    for group in parameter_groups(network, config):
        parameters = group["params"]
        assert isinstance(parameters, list)
        for parameter in parameters:
            assert names[id(parameter)] not in told
            told[names[id(parameter)]] = group
    assert told.keys() == trainable(network)
    return told


def test_finetuning_moves_the_head_faster_by_its_factor() -> None:
    told = settings_by_name(strategy="finetune", learning_rate=1e-3, head_factor=5)
    assert {name for name, group in told.items() if group["lr"] == 5e-3} == HEAD
    assert {group["lr"] for name, group in told.items() if name not in HEAD} == {1e-3}


def test_a_frozen_networks_head_moves_at_the_learning_rate() -> None:
    told = settings_by_name(strategy="frozen", learning_rate=1e-3, head_factor=5)
    assert {name: group["lr"] for name, group in told.items()} == dict.fromkeys(HEAD, 1e-3)


def test_weights_decay_and_biases_and_norms_do_not() -> None:
    told = settings_by_name(weight_decay=0.02)
    decays = {name: group["weight_decay"] for name, group in told.items()}
    assert decays["resnet.conv1.weight"] == decays["resnet.fc.weight"] == 0.02
    assert decays["resnet.bn1.weight"] == decays["resnet.bn1.bias"] == 0
    assert decays["resnet.fc.bias"] == 0
    assert sum(decay > 0 for decay in decays.values()) == 20 + 1  # convolutions and the head
