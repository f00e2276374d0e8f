"""What `ok` asks for is one rule: serving's for one image, training's for many at once."""

import numpy as np
import pytest

from app.model.card import Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import Interval
from training.metrics.doubt import find_answered, measure_lead

NOTHING = Interval(value=0, low=0, high=1)


def make_certainty(*floors: float, margin: float = 0.0) -> Certainty:
    return Certainty(
        floors=dict(zip(LABEL_IDS, floors, strict=True)),
        margin=margin,
        chosen_on="validation",
        risk=0.05,
        answered=NOTHING,
        wrong=NOTHING,
    )


def by_label(values: list[float]) -> dict[LabelId, float]:
    return dict(zip(LABEL_IDS, values, strict=True))


POINTS = by_label([0.3, 0.65, 0.2, 0.9])


@pytest.mark.parametrize("points", [None, POINTS])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.3])
def test_many_images_are_judged_as_each_by_itself(
    margin: float, points: dict[LabelId, float] | None
) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.4] * 4, 2000).astype(np.float32)
    certainty = make_certainty(0.4, 0.6, 0.8, 1, margin=margin)
    answered = find_answered(probabilities, points, certainty)
    assert answered is not None
    one_by_one = [
        not certainty.find_doubts(
            {LABEL_IDS[row.argmax()]}, by_label([float(p) for p in row]), points
        )
        for row in probabilities
    ]
    assert answered.tolist() == one_by_one
    assert 200 < answered.sum() < 1800


@pytest.mark.parametrize(
    ("floor", "margin", "point", "expected"),
    [
        (0.5, 0.0, 0.0, True),
        (0.625, 0.0, 0.0, True),  # reached exactly
        (0.63, 0.0, 0.0, False),
        (0.5, 0.375, 0.0, True),  # 0.625 - 0.25
        (0.5, 0.38, 0.0, False),
        (0.5, 0.0, 0.63, False),
    ],
)
def test_floor_margin_and_operating_point_by_hand(
    floor: float, margin: float, point: float, expected: bool
) -> None:
    values = [0.0625, 0.625, 0.25, 0.0625]
    certainty = make_certainty(0, floor, 0, 0, margin=margin)
    points = by_label([0, point, 0, 0])
    assert (not certainty.find_doubts({"covid19"}, by_label(values), points)) is expected
    answered = find_answered(np.array([values], np.float32), points, certainty)
    assert answered is not None
    assert answered.tolist() == [expected]


def test_a_floor_of_1_is_never_reached_not_even_by_a_probability_rounded_to_it() -> None:
    certainty = make_certainty(0, 1, 0, 0)
    values = [0.0, 1.0, 0.0, 0.0]
    assert certainty.find_doubts({"covid19"}, by_label(values)) == ["low_confidence"]
    answered = find_answered(np.array([values]), None, certainty)
    assert answered is not None
    assert not answered.any()


def test_a_label_that_is_not_ahead_is_not_allowed() -> None:
    certainty = make_certainty(0, 0, 0, 0)
    assert certainty.find_doubts({"normal"}, by_label([0.4, 0.6, 0, 0])) == ["close_call"]


def test_a_set_has_to_reach_the_highest_of_its_floors_together() -> None:
    certainty = make_certainty(0, 0, 0.7, 0.8, margin=0.7)
    claimed: set[LabelId] = {"bacterial_pneumonia", "viral_pneumonia"}
    assert certainty.find_doubts(claimed, by_label([0.1, 0.05, 0.45, 0.4])) == []
    assert certainty.find_doubts(claimed, by_label([0.15, 0.1, 0.4, 0.35])) == [
        "low_confidence",
        "close_call",
    ]


def test_a_floor_of_1_counts_in_no_set_that_has_a_lower_one() -> None:
    certainty = make_certainty(0, 0, 0.7, 1)
    claimed: set[LabelId] = {"bacterial_pneumonia", "viral_pneumonia"}
    assert certainty.find_doubts(claimed, by_label([0.2, 0.1, 0.1, 0.6])) == []
    assert certainty.find_doubts(claimed, by_label([0.2, 0.15, 0.05, 0.6])) == ["low_confidence"]
    assert certainty.find_doubts({"viral_pneumonia"}, by_label([0, 0, 0, 1])) == ["low_confidence"]


def test_a_set_of_floors_of_1_is_never_sure() -> None:
    certainty = make_certainty(0, 0, 1, 1)
    claimed: set[LabelId] = {"bacterial_pneumonia", "viral_pneumonia"}
    assert certainty.find_doubts(claimed, by_label([0, 0, 0.5, 0.5])) == ["low_confidence"]


def test_without_certainty_only_the_label_called_may_reach_its_point() -> None:
    points = by_label([0.3, 0.3, 0.3, 0.3])
    probabilities = np.array([[0.7, 0.1, 0.1, 0.1], [0.5, 0.4, 0.05, 0.05]])
    answered = find_answered(probabilities, points)
    assert answered is not None
    assert answered.tolist() == [True, False]
    assert find_answered(probabilities, None) is None


def test_the_lead_is_over_the_next() -> None:
    assert measure_lead(np.array([[0.25, 0.5, 0.125, 0.125]])).tolist() == [0.25]
