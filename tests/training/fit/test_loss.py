"""training.fit.loss: what an image costs whose label is known, half known or none of the four."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.training.networks import make_config
from training.fit.loss import label_losses, weigh_labels

EVEN = torch.ones(4)
TOLD = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()


def loss_of(targets: list[float], smoothing: float = 0, weights: torch.Tensor = EVEN) -> float:
    return float(label_losses(TOLD, torch.tensor([targets]), weights, smoothing).sum())


@pytest.mark.parametrize(
    ("targets", "probability"),
    [([1, 0, 0, 0], 0.5), ([0, 0, 1, 1], 0.3), ([1, 1, 0, 1], 0.8)],
)
def test_a_set_costs_minus_the_log_of_what_its_labels_get_together(
    targets: list[float], probability: float
) -> None:
    assert loss_of(targets) == pytest.approx(-math.log(probability))


def test_smoothing_a_set_spreads_a_share_of_the_truth_over_all_labels() -> None:
    spread = -sum(math.log(each) for each in (0.5, 0.2, 0.2, 0.1)) / 4
    expected = 0.9 * -math.log(0.3) + 0.1 * spread
    assert loss_of([0, 0, 1, 1], smoothing=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_another_finding_is_to_be_as_likely_of_every_label(smoothing: float) -> None:
    spread = -sum(math.log(each) for each in (0.5, 0.2, 0.2, 0.1)) / 4
    assert loss_of([0, 0, 0, 0], smoothing) == pytest.approx(spread)


def test_the_loss_of_another_finding_is_least_where_all_labels_are_alike() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    label_losses(logits, torch.zeros(1, 4), EVEN, 0).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-7


@pytest.mark.parametrize("smoothing", [0, 0.3])
def test_single_labels_cost_what_pytorch_says(smoothing: float) -> None:
    logits = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 4
    weights = torch.tensor([0.5, 2, 1, 1.5])
    expected = F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
    losses = label_losses(logits, F.one_hot(labels, 4).float(), weights, smoothing)
    assert losses.shape == (16,)
    torch.testing.assert_close(losses.sum(), expected)


def test_an_image_weighs_as_its_labels_do_on_average() -> None:
    targets = torch.tensor([[0, 0, 1.0, 1.0], [1.0, 0, 0, 0], [0, 0, 0, 0]])
    weights = torch.tensor([1.0, 2.0, 3.0, 6.0])  # 4.5, 1 and 3 of 8.5
    losses = label_losses(TOLD.expand(3, 4), targets, weights, 0)
    spread = -sum(math.log(each) for each in (0.5, 0.2, 0.2, 0.1)) / 4
    expected = [4.5 * -math.log(0.3) / 8.5, -math.log(0.5) / 8.5, 3 * spread / 8.5]
    assert losses.tolist() == pytest.approx(expected)


def test_no_image_makes_a_gradient_that_is_no_number() -> None:
    logits = torch.tensor([[80.0, -80, 0, 0]] * 3, requires_grad=True)
    targets = torch.tensor([[0, 1.0, 0, 0], [0, 0, 1.0, 1.0], [0, 0, 0, 0]])
    label_losses(logits, targets, EVEN, 0.04).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    ("choice", "ratios"),
    [("none", [1, 1, 1, 1]), ("sqrt", [4, 2, 2, 1]), ("balanced", [16, 4, 4, 1])],
)
def test_rarer_labels_weigh_more_by_the_power_of_their_share_that_was_chosen(
    choice: str, ratios: list[int]
) -> None:
    labels = np.repeat(np.arange(4), [1, 4, 4, 16])
    weights = weigh_labels(labels, make_config(class_weights=choice)).numpy()
    assert weights / weights[3] == pytest.approx(ratios)
    assert weights[labels].mean() == pytest.approx(1)
