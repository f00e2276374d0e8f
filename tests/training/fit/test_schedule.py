"""training.fit.schedule: how the learning rate and the average of the weights go."""

import pytest
import torch

from tests.training.networks import build_small_model, make_config
from training.fit.network import GreyResNet
from training.fit.schedule import average_weights, warmup_cosine

State = dict[str, torch.Tensor]


def random_states(count: int) -> list[State]:
    """Draw the states that a small network goes through."""
    generator = torch.Generator().manual_seed(0)
    shapes = {name: value.shape for name, value in snapshot(build_small_model(make_config()))}
    return [
        {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        for _ in range(count)
    ]


def snapshot(model: GreyResNet) -> list[tuple[str, torch.Tensor]]:
    state = model.state_dict()
    return [(name, value) for name, value in state.items() if value.is_floating_point()]


def average(states: list[State], decay: float) -> State:
    model = build_small_model(make_config())
    averaged = average_weights(model, decay)
    assert averaged is not None
    for state in states:
        model.load_state_dict(state, strict=False)
        averaged.update_parameters(model)
    return dict(snapshot(averaged.module))


# ---------------------------------------------------------------- the learning rate


def test_the_learning_rate_warms_up_in_a_line_and_falls_as_a_cosine() -> None:
    factor = warmup_cosine(make_config(warmup_share=0.2), 20)
    rates = [factor(step) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert rates[4] == 1
    assert rates[12] == pytest.approx(0.5)  # half-way down
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[19] < 0.02


def test_without_a_warm_up_the_first_step_is_the_highest() -> None:
    factor = warmup_cosine(make_config(warmup_share=0), 20)
    rates = [factor(step) for step in range(20)]
    assert rates[0] == max(rates) == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate_too(steps: int) -> None:
    factor = warmup_cosine(make_config(warmup_share=0.9), steps)
    assert all(0 < factor(step) <= 1 for step in range(steps))
    assert factor(steps) >= 0  # asked for after the last step


# ---------------------------------------------------------------- the average


def test_no_decay_means_no_average() -> None:
    assert average_weights(build_small_model(make_config()), 0) is None


def test_the_average_starts_at_the_weights_after_the_first_step() -> None:
    (state,) = random_states(1)
    assert all(torch.equal(value, state[name]) for name, value in average([state], 0.9).items())


@pytest.mark.parametrize("decay", [0.25, 0.99])
def test_each_step_moves_the_average_fast_at_first_then_as_slowly_as_the_decay(
    decay: float,
) -> None:
    states = random_states(5)
    slowness = [min(decay, early) for early in (2 / 11, 3 / 12, 4 / 13, 5 / 14)]
    expected = states[0]
    for kept, state in zip(slowness, states[1:], strict=True):
        expected = {name: kept * expected[name] + (1 - kept) * state[name] for name in state}
    averaged = average(states, decay)
    assert {"resnet.bn1.running_mean", "resnet.bn1.running_var"} <= averaged.keys()
    torch.testing.assert_close(averaged, expected)


def test_averaging_leaves_the_trained_network_alone() -> None:
    model = build_small_model(make_config())
    averaged = average_weights(model, 0.9)
    assert averaged is not None
    (state,) = random_states(1)
    before = {name: value.clone() for name, value in snapshot(model)}
    averaged.module.load_state_dict(state, strict=False)
    averaged.update_parameters(model)
    assert all(torch.equal(value, before[name]) for name, value in snapshot(model))
