"""training.fit.sampling: how often each group is shown, and each image of it."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.training.networks import make_config
from training.data.manifest import Sample
from training.fit.sampling import (
    Group,
    Sampler,
    group_samples,
    share_labels,
    shift_to_priors,
)

A, B, C = (Group(None, name, "here") for name in "abc")
GROUPS = [A] * 100 + [B] * 25 + [C] * 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(power: float, count: int, seed: int = 0) -> list[int]:
    rows: list[int] = Sampler(GROUPS, power, count).draw(generator(seed)).tolist()
    return rows


@pytest.mark.parametrize(
    ("power", "count", "counts"),
    [
        (1.0, 129, [100, 25, 4]),
        (0.5, 170, [100, 50, 20]),  # roots 10, 5 and 2
        (0.0, 30, [10, 10, 10]),
        (0.0, 32, [11, 11, 10]),  # two over, to the first of equals
        (1.0, 13, [10, 3, 0]),  # 10.08, 2.52, 0.40
    ],
)
def test_a_group_has_a_share_of_its_size_to_the_power(
    power: float, count: int, counts: list[int]
) -> None:
    sampler = Sampler(GROUPS, power, count)
    assert list(sampler.counts.values()) == counts
    drawn = Counter(GROUPS[row] for row in sampler.draw(generator()).tolist())
    assert [drawn[group] for group in (A, B, C)] == counts


def test_within_a_group_none_is_shown_again_before_all_were() -> None:
    times = Counter(draw(0.5, 170))
    assert {times[row] for row in range(100)} == {1}
    assert {times[row] for row in range(100, 125)} == {2}
    assert {times[row] for row in range(125, 129)} == {5}


def test_a_group_that_is_cut_short_shows_others_from_epoch_to_epoch() -> None:
    sampler, source = Sampler(GROUPS, 0, 30), generator()
    epochs = [{row for row in sampler.draw(source).tolist() if row < 100} for _ in range(60)]
    assert {len(epoch) for epoch in epochs} == {10}
    assert len(set().union(*epochs)) > 95


def test_groups_are_mixed_over_the_epoch() -> None:
    rows = draw(0.5, 170)
    firsts = [sum(row < 100 for row in rows[start : start + 34]) for start in range(0, 170, 34)]
    assert all(10 < first < 30 for first in firsts)  # of 34, a hundred in 170


def test_every_image_once_is_the_order_that_it_always_was() -> None:
    expected = torch.randperm(129, generator=generator(3))
    assert draw(1.0, 129, seed=3) == expected.tolist()


def test_the_same_generator_draws_the_same_epochs_and_another_others() -> None:
    assert draw(0.5, 170, seed=1) == draw(0.5, 170, seed=1)
    assert draw(0.5, 170, seed=1) != draw(0.5, 170, seed=2)


def test_images_are_grouped_by_label_as_it_is_known_and_source() -> None:
    kinds = [({2}, "x"), ({2, 3}, "x"), ({2}, "y"), (set[int](), "y"), ({2}, "x")]
    samples = [
        Sample(Path(), frozenset(targets), "", "train", source, "") for targets, source in kinds
    ]
    sampler = group_samples(samples, make_config(sampling_power=0, epoch_images=40))
    pneumonia = "bacterial_pneumonia"
    assert sampler.counts == {
        Group(2, pneumonia, "x"): 10,
        Group(None, f"{pneumonia}|viral_pneumonia", "x"): 10,
        Group(2, pneumonia, "y"): 10,
        Group(None, "other", "y"): 10,
    }
    assert group_samples(samples, make_config()).count == len(samples)


@pytest.mark.parametrize(
    ("label_power", "counts"),
    [
        # Groups of 100, 25, 16 and 9 by power 0.5: 10, 5, 4 and 3 of 22. Label 0 has 15 of the 19
        # that are of one label, label 1 has 4.
        (1.0, [100, 50, 40, 30]),
        (0.0, [63, 32, 95, 30]),  # 9.5 each: 6.33 and 3.17; 9.5
        (0.5, [84, 42, 65, 29]),  # 19 by 3.87 to 2: 12.53 (8.35 and 4.18) and 6.47
    ],
)
def test_labels_are_evened_among_each_other_and_sets_stay(
    label_power: float, counts: list[int]
) -> None:
    groups = [Group(0, "normal", "here")] * 100 + [Group(0, "normal", "there")] * 25
    groups += [Group(1, "covid19", "there")] * 16 + [Group(None, "other", "here")] * 9
    sampler = Sampler(groups, 0.5, 220, label_power)
    assert list(sampler.counts.values()) == pytest.approx(counts, abs=1)
    assert sum(sampler.counts.values()) == 220


def test_the_priors_are_the_labels_shares_of_an_epoch() -> None:
    kinds = [{0}] * 9 + [{1}] * 4 + [{2}, {3}] + [{2, 3}] * 4 + [set[int]()]
    samples = [Sample(Path(), frozenset(targets), "", "train", "here", "") for targets in kinds]
    config = make_config(sampling_power=0.5, epoch_images=100)
    # Roots 3, 2, 1 and 1 of 7; the set and the other finding are no label.
    expected = {"normal": 3 / 7, "covid19": 2 / 7, "bacterial_pneumonia": 1 / 7}
    shares = share_labels(samples, config)
    assert {label: shares[label] for label in expected} == pytest.approx(expected, abs=0.01)
    assert shift_to_priors(samples, config).tolist() == [0, 0, 0, 0]
    even = config.model_copy(update={"priors": "even"})
    logs = [0, math.log(3 / 2), math.log(3), math.log(3)]
    assert shift_to_priors(samples, even) == pytest.approx(logs, abs=0.03)
