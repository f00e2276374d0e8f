"""training.export.calibration: temperature and distance, recovered from data drawn by them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from app.model.labels import LABEL_IDS
from training.export.calibration import (
    fit_distance,
    fit_distance_factor,
    fit_distance_threshold,
    fit_even_temperature,
    fit_operating_points,
    fit_orientation,
    fit_temperature,
    label_priors,
)

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def draw_calls(temperature: float, count: int = 20_000) -> tuple[Floats, Labels]:
    """Draw logits, and labels as likely as those logits over `temperature` say."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (count, 4)).astype(np.float32)
    shares = softmax(logits / temperature, axis=1).cumsum(axis=1)
    labels = (generator.random((count, 1)) > shares[:, :3]).sum(axis=1)
    return logits, labels.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.3, 0.7, 1.0, 1.6, 4.0])
def test_the_temperature_labels_were_drawn_with_is_recovered(temperature: float) -> None:
    assert fit_temperature(*draw_calls(temperature)) == pytest.approx(temperature, rel=0.05)


def test_doubled_logits_double_the_temperature() -> None:
    logits, labels = draw_calls(1.0, count=500)
    once, twice = (fit_temperature(factor * logits, labels) for factor in (1, 2))
    assert twice == pytest.approx(2 * once, rel=1e-3)


def test_logits_that_are_never_wrong_keep_the_temperature_above_zero() -> None:
    labels = np.arange(40) % 4
    logits = 9 * np.eye(4, dtype=np.float32)[labels]
    assert np.exp(-3) <= fit_temperature(logits, labels) < 1


def draw_features(count: int, spread: Floats) -> tuple[Floats, Labels]:
    """Draw features about four far apart class means, correlated by `spread` [width, width]."""
    generator = np.random.default_rng(1)
    labels = np.arange(count) % 4
    width = len(spread)
    means = generator.normal(0, 30, (4, width))
    features = means[labels] + generator.normal(size=(count, width)) @ spread
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def spread() -> Floats:
    """Deviations from 0.5 to 4 along axes turned at random."""
    axes, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))
    return (np.geomspace(0.5, 4, 6)[:, np.newaxis] * axes).astype(np.float32)


def test_whitened_features_have_unit_covariance_within_a_class(spread: Floats) -> None:
    features, labels = draw_features(40_000, spread)
    whitening, _ = fit_distance(features, labels)
    for index in range(4):
        covariance = np.cov((features[labels == index] @ whitening).T)
        np.testing.assert_allclose(covariance, np.eye(6), atol=0.06)


def test_centres_are_the_whitened_class_means(spread: Floats) -> None:
    features, labels = draw_features(4_000, spread)
    whitening, centres = fit_distance(features, labels)
    expected = np.stack([features[labels == index].mean(0) for index in range(4)]) @ whitening
    np.testing.assert_allclose(centres, expected, rtol=1e-3, atol=1e-3)


def test_fewer_images_than_features_still_give_finite_distances() -> None:
    width = 64
    features, labels = draw_features(24, np.eye(width, dtype=np.float32))
    whitening, centres = fit_distance(features, labels)
    unseen, _ = draw_features(200, np.eye(width, dtype=np.float32))
    distances = ((unseen[:, None] @ whitening - centres[None]) ** 2).sum(2).min(1)
    assert np.isfinite(distances).all()
    assert 0.2 * width < np.median(distances) < 5 * width


def test_both_are_float32_for_the_graph(spread: Floats) -> None:
    whitening, centres = fit_distance(*draw_features(400, spread))
    assert (whitening.dtype, centres.dtype) == (np.float32, np.float32)
    assert (whitening.shape, centres.shape) == ((6, 6), (4, 6))


# ---------------------------------------------------------------- operating points and refusal


def test_an_operating_point_is_what_95_percent_of_a_labels_own_images_reach() -> None:
    generator = np.random.default_rng(2)
    labels = np.arange(4000) % 4
    probabilities = generator.dirichlet(np.ones(4), 4000).astype(np.float32)
    points = fit_operating_points(probabilities, labels)
    for index, label in enumerate(LABEL_IDS):
        own = probabilities[labels == index, index]
        assert (own >= points[label]).mean() == pytest.approx(0.95, abs=0.002)


def test_the_image_that_sets_a_point_reaches_it() -> None:
    labels = np.repeat(np.arange(4), 19)
    probabilities = np.full((76, 4), 0.2, np.float32) + np.float32(0.2) * np.eye(4)[labels]
    points = fit_operating_points(probabilities.astype(np.float32), labels)
    assert all(np.float32(0.4) >= point > 0.39999 for point in points.values())


def test_another_sensitivity_gives_another_point() -> None:
    labels = np.repeat(np.arange(4), 101)
    probabilities = np.tile(np.linspace(0, 1, 101, dtype=np.float32)[:, None], (4, 4))
    # Ranks floor(102 / 4) = 25 and floor(102 / 20) = 5, of 0, 0.01, 0.02 and so on.
    assert fit_operating_points(probabilities, labels, 0.75)["normal"] == pytest.approx(
        0.24, abs=2e-6
    )
    assert fit_operating_points(probabilities, labels, 0.95)["covid19"] == pytest.approx(
        0.04, abs=2e-6
    )


@pytest.mark.parametrize(("count", "expected"), [(18, 0), (19, 0.5), (38, 0.5), (39, 0.51)])
def test_of_n_images_the_one_of_rank_a_twentieth_of_n_and_1_sets_the_point(
    count: int, expected: float
) -> None:
    labels = np.repeat(np.arange(4), count)
    own = 0.5 + 0.01 * np.arange(count)
    probabilities = np.tile(own.astype(np.float32)[:, None], (4, 4))
    points = fit_operating_points(probabilities, labels)
    assert list(points.values()) == pytest.approx([expected] * 4, abs=2e-6)


@pytest.mark.parametrize("sensitivity", [0.9, 0.8, 0.7])
def test_rounding_moves_no_rank(sensitivity: float) -> None:
    probabilities = np.tile(np.linspace(0.1, 0.9, 9, dtype=np.float32)[:, None], (4, 4))
    points = fit_operating_points(probabilities, np.repeat(np.arange(4), 9), sensitivity)
    assert points["normal"] == pytest.approx(1 - sensitivity, abs=2e-6)


@pytest.mark.parametrize("count", [19, 38, 90, 101])
def test_new_images_reach_their_labels_point_95_times_in_100_or_more(count: int) -> None:
    generator = np.random.default_rng(count)
    labels = np.repeat(np.arange(4), count)
    reached = []
    for _ in range(2000):  # of uniform scores, a point's own coverage is exact: 1 - point
        probabilities = generator.random((4 * count, 4), np.float32)
        reached += [1 - point for point in fit_operating_points(probabilities, labels).values()]
    guaranteed = 1 - (count + 1) // 20 / (count + 1)
    assert guaranteed >= 0.95
    assert np.mean(reached) == pytest.approx(guaranteed, abs=0.002)
    assert np.mean(reached) >= 0.95 - 0.001


def test_the_distance_threshold_leaves_room_above_validation() -> None:
    distances = np.arange(101, dtype=np.float32)
    assert fit_distance_threshold(distances) == pytest.approx(1.2 * 99)


def test_priors_are_the_shares_of_the_labels() -> None:
    assert label_priors(np.array([0, 0, 0, 0, 1, 2, 2, 3])) == {
        "normal": 0.5, "covid19": 0.125, "bacterial_pneumonia": 0.25, "viral_pneumonia": 0.125
    }  # fmt: skip


def test_orientation_is_told_by_a_linear_rule_of_as_many_logits() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(5, 512))
    orientations = np.tile(np.arange(5), 60)
    features = (centres[orientations] + generator.normal(size=(300, 512))).astype(np.float32)
    weights, bias = fit_orientation(features[:200], orientations[:200])
    assert (weights.shape, bias.shape) == ((512, 5), (5,))
    called = (features[200:] @ weights + bias).argmax(1)
    assert (called == orientations[200:]).mean() > 0.95


# ---------------------------------------------------------------- over sources


def as_targets(labels: Labels) -> NDArray[np.bool_]:
    return np.eye(4, dtype=bool)[labels]


def test_the_even_temperature_is_the_plain_one_where_there_is_one_source() -> None:
    logits, labels = draw_calls(1.6, count=2000)
    even = fit_even_temperature(logits, as_targets(labels), ["a"] * 2000)
    assert even == pytest.approx(fit_temperature(logits, labels), rel=1e-4)


def test_sources_count_alike_however_many_images_they_have() -> None:
    many, many_labels = draw_calls(1.0, count=4000)
    few, few_labels = draw_calls(3.0, count=400)
    logits = np.concatenate([many, few])
    targets = as_targets(np.concatenate([many_labels, few_labels]))
    even = fit_even_temperature(logits, targets, ["many"] * 4000 + ["few"] * 400)
    tenfold = fit_temperature(
        np.concatenate([many, np.tile(few, (10, 1))]),
        np.concatenate([many_labels, np.tile(few_labels, 10)]),
    )
    assert even == pytest.approx(tenfold, rel=1e-3)
    assert even > 1.2 * fit_temperature(logits, targets.argmax(1))


def test_a_set_is_as_likely_as_its_labels_together() -> None:
    # Two images, each of whose sets holds all of two labels' probability, by symmetry the same
    # as one of two labels with logits ln 2 + 2 and ln 2: so (e^2/T) against 1, one in four wrong.
    logits = np.array([[2, 2, 0, 0]] * 4, np.float32)
    targets = np.array([[1, 1, 0, 0]] * 3 + [[0, 0, 1, 1]], bool)
    # 3 of 4 right: e^(2/T) = 3, so T = 2 / ln 3.
    assert fit_even_temperature(logits, targets, ["a"] * 4) == pytest.approx(
        2 / np.log(3), rel=1e-3
    )


def test_other_findings_tell_nothing_of_the_temperature() -> None:
    logits, labels = draw_calls(1.6, count=500)
    targets = as_targets(labels)
    more = np.concatenate([logits, 9 * logits[:100]])
    with_others = np.concatenate([targets, np.zeros((100, 4), bool)])
    one = fit_even_temperature(logits, targets, ["a"] * 500)
    assert fit_even_temperature(more, with_others, ["a"] * 500 + ["b"] * 100) == pytest.approx(one)
    assert fit_even_temperature(more[-100:], with_others[-100:], ["b"] * 100) == 1


def test_the_distance_factor_is_by_hand() -> None:
    validation = np.linspace(0, 100, 10_001)  # 99 % at 99
    near, far, odd = validation * 1.1, validation * 1.5, np.where(validation > 96, 900, validation)
    # Refused is nothing of the near, 4 % of the odd; so 11 % of the far, of which 89 % lie within.
    factor = fit_distance_factor([(near, validation), (far, validation), (odd, validation)])
    assert factor == pytest.approx(0.89 * 150 / 99, abs=0.01)


def test_of_sources_held_out_a_twentieth_is_refused_each_counting_alike() -> None:
    generator = np.random.default_rng(0)
    validation = generator.chisquare(20, 2000)
    sources = [scale * generator.chisquare(20, 500) for scale in (1.0, 1.2, 2.0)]
    sources.append(np.repeat(validation, 20))  # many, and as near as those that were seen
    factor = fit_distance_factor([(source, validation) for source in sources])
    threshold = fit_distance_threshold(validation.astype(np.float32), factor)
    assert np.mean([(source > threshold).mean() for source in sources]) == pytest.approx(
        0.05, abs=0.002
    )


def test_sources_that_lie_nearer_make_the_factor_no_less_than_1() -> None:
    validation = np.linspace(0, 100, 101)
    assert fit_distance_factor([(validation / 2, validation)]) == 1
    assert fit_distance_factor([]) == 1.2  # nothing known: the guess


def test_labels_without_an_image_have_no_centre() -> None:
    features, labels = draw_features(400, np.eye(6, dtype=np.float32))
    some = (labels == 1) | (labels == 3)
    whitening, centres = fit_distance(features[some], labels[some])
    means = np.stack([features[labels == index].mean(0) for index in (1, 3)])
    np.testing.assert_allclose(centres, means @ whitening, rtol=1e-3, atol=1e-3)
