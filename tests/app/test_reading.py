"""Judging: arithmetic on known probabilities."""

import numpy as np
import pytest

from app.card import Card
from app.inference import Outputs
from app.reading import judge
from tests.bundles import make_card


def outputs(*probabilities: float) -> Outputs:
    row = np.array([probabilities], np.float32)
    return Outputs(row, np.log(row), np.zeros((1, 4, 7, 7), np.float32), np.zeros(1, np.float32))


@pytest.fixture
def card() -> Card:
    return Card.model_validate(make_card())


def test_the_most_likely_label_wins(card: Card) -> None:
    judgement = judge(outputs(0.1, 0.2, 0.3, 0.4), card, "en")
    assert judgement.label == "viral_pneumonia"
    assert judgement.display_label == "VIRAL_PNEUMONIA"
    assert judge(outputs(0.1, 0.2, 0.3, 0.4), card, "es").display_label == "viral_pneumonia"


def test_probabilities_go_to_the_labels_in_the_cards_order(card: Card) -> None:
    judgement = judge(outputs(0.1, 0.2, 0.3, 0.4), card, "en")
    assert judgement.probabilities == {
        "normal": 0.1, "covid19": 0.2, "bacterial_pneumonia": 0.3, "viral_pneumonia": 0.4
    }  # fmt: skip


def test_abnormal_and_non_covid_pneumonia_are_sums(card: Card) -> None:
    judgement = judge(outputs(0.25, 0.5, 0.125, 0.125), card, "en")
    assert judgement.abnormal == 0.75
    assert judgement.non_covid_pneumonia == 0.25
