"""training.metrics.metrics: figures of answers withheld, worked out by hand."""

from typing import Final

import numpy as np
import pytest

from app.model.card import Card
from app.model.labels import LABEL_IDS, LabelId
from app.model.session import Outputs
from app.reading.judge import judge
from tests.bundles import make_card
from tests.training.metrics.test_metrics import draw_answers
from training.metrics.metrics import area_under_risk_coverage, measure

POINTS: Final[dict[LabelId, float]] = {
    "normal": 0.4, "covid19": 0.3, "bacterial_pneumonia": 0.3, "viral_pneumonia": 0.2
}  # fmt: skip


def test_aurc_is_the_mean_error_over_all_shares_answered() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    probabilities = np.zeros((4, 4), np.float32)
    probabilities[:, 0] = confidence
    labels = np.array([0, 1, 0, 1])  # right, wrong, right, wrong
    assert area_under_risk_coverage(labels, probabilities) == pytest.approx(
        np.mean([0, 1 / 2, 1 / 3, 2 / 4])
    )


def test_aurc_is_lower_where_confidence_tells_right_from_wrong() -> None:
    probabilities = np.zeros((4, 4), np.float32)
    probabilities[:, 0] = [0.9, 0.8, 0.7, 0.6]
    wise = area_under_risk_coverage(np.array([0, 0, 1, 1]), probabilities)
    foolish = area_under_risk_coverage(np.array([1, 1, 0, 0]), probabilities)
    assert wise < foolish


def test_what_is_answered_is_what_serving_answers_with_ok() -> None:
    labels, probabilities = draw_answers(300)
    card = Card.model_validate(make_card(operating_points=POINTS))
    empty = np.zeros((1, 4, 7, 7), np.float32)
    answered = np.array(
        [
            judge(
                Outputs(row[None], row[None], empty, empty[0, 0, 0, :1]).one(LABEL_IDS), card
            ).status
            == "ok"
            for row in probabilities
        ]
    )
    assert 0.1 < answered.mean() < 0.9
    patients = [str(row) for row in range(300)]
    measured = measure(labels, probabilities, patients, ["s"] * 300, operating_points=POINTS)
    assert measured.answered is not None
    assert measured.accuracy_answered is not None
    right = probabilities.argmax(1) == labels
    assert measured.answered.value == pytest.approx(answered.mean())
    assert measured.accuracy_answered.value == pytest.approx(right[answered].mean())
    assert measured.answered.low < measured.answered.value < measured.answered.high


def test_without_operating_points_nothing_is_told_of_it() -> None:
    labels, probabilities = draw_answers(100)
    measured = measure(labels, probabilities, [str(row) for row in range(100)], ["s"] * 100)
    assert measured.answered is None
    assert measured.accuracy_answered is None
    assert measured.aurc is not None


def test_the_share_refused_is_counted() -> None:
    labels, probabilities = draw_answers(100)
    refused = np.arange(100) < 7
    patients = [str(row) for row in range(100)]
    measured = measure(labels, probabilities, patients, ["s"] * 100, refused=refused)
    assert measured.refused is not None
    assert measured.refused.value == pytest.approx(0.07)
    assert 0 < measured.refused.low < 0.07 < measured.refused.high < 0.2
