"""Judging: arithmetic on known probabilities."""

import inspect

import numpy as np
import pytest

from app.model.card import Card
from app.model.labels import LABEL_IDS, LabelId
from app.model.session import ImageOutputs, Outputs
from app.reading.judge import judge
from app.reading.population import Subject
from tests.bundles import make_card


def outputs(*probabilities: float) -> ImageOutputs:
    row = np.array([probabilities], np.float32)
    empty = np.zeros((1, 4, 7, 7), np.float32)
    return Outputs(row, np.log(row), empty, np.zeros(1, np.float32)).one(LABEL_IDS)


@pytest.fixture
def card() -> Card:
    return Card.model_validate(make_card())


def test_the_most_likely_label_wins(card: Card) -> None:
    judgement = judge(outputs(0.1, 0.2, 0.3, 0.4), card)
    assert judgement.label == "viral_pneumonia"


def test_a_judgement_knows_no_language() -> None:
    assert "language" not in inspect.signature(judge).parameters


def test_probabilities_go_to_the_labels_in_the_cards_order(card: Card) -> None:
    judgement = judge(outputs(0.1, 0.2, 0.3, 0.4), card)
    assert judgement.probabilities == {
        "normal": 0.1, "covid19": 0.2, "bacterial_pneumonia": 0.3, "viral_pneumonia": 0.4
    }  # fmt: skip


def test_abnormal_and_non_covid_pneumonia_are_sums(card: Card) -> None:
    judgement = judge(outputs(0.25, 0.5, 0.125, 0.125), card)
    assert judgement.abnormal == 0.75
    assert judgement.non_covid_pneumonia == 0.25


# ---------------------------------------------------------------- doubt

POINTS = {"normal": 0.4, "covid19": 0.3, "bacterial_pneumonia": 0.3, "viral_pneumonia": 0.2}
ADULTS, CHILDREN = {"low": 18, "high": 130}, {"low": 1, "high": 5}
POPULATION = {
    "age_years": {
        "normal": [CHILDREN, ADULTS],
        "covid19": [ADULTS],
        "bacterial_pneumonia": [CHILDREN],
        "viral_pneumonia": [CHILDREN],
    },
    "views": ["PA", "AP"],
}


@pytest.fixture
def doubting() -> Card:
    return Card.model_validate(make_card(operating_points=POINTS))


@pytest.mark.parametrize(
    ("probabilities", "status", "candidates"),
    [
        ((0.9, 0.04, 0.03, 0.03), "ok", []),
        ((0.1, 0.1, 0.5, 0.3), "uncertain", ["bacterial_pneumonia", "viral_pneumonia"]),
        ((0.1, 0.1, 0.3, 0.5), "uncertain", ["viral_pneumonia", "bacterial_pneumonia"]),
        ((0.1, 0.1, 0.65, 0.15), "ok", []),
        ((0.37, 0.27, 0.27, 0.09), "uncertain", ["normal", "covid19"]),  # none reaches its point
        ((0.39, 0.35, 0.16, 0.1), "uncertain", ["normal", "covid19"]),  # not the one called
    ],
)
def test_an_answer_is_ok_if_the_label_called_alone_reaches_its_operating_point(
    doubting: Card, probabilities: tuple[float, ...], status: str, candidates: list[str]
) -> None:
    judgement = judge(outputs(*probabilities), doubting)
    assert judgement.status == status
    assert judgement.candidates == candidates


def test_a_card_without_operating_points_is_always_certain(card: Card) -> None:
    assert judge(outputs(0.26, 0.25, 0.25, 0.24), card).status == "ok"


def test_priors_reweight_what_is_told_and_decide_the_label() -> None:
    even = dict.fromkeys(LABEL_IDS, 0.25)
    card = Card.model_validate(make_card(priors=even))
    priors: dict[LabelId, float] = {
        "normal": 0.7, "covid19": 0.1, "bacterial_pneumonia": 0.1, "viral_pneumonia": 0.1
    }  # fmt: skip
    judgement = judge(outputs(0.2, 0.6, 0.1, 0.1), card, priors=priors)
    assert judgement.label == "normal"
    assert judgement.probabilities["normal"] == pytest.approx(14 / 22, abs=1e-6)
    assert judgement.abnormal == pytest.approx(8 / 22, abs=2e-6)


def test_a_label_that_only_the_priors_call_is_uncertain() -> None:
    card = Card.model_validate(
        make_card(priors=dict.fromkeys(LABEL_IDS, 0.25), operating_points=POINTS)
    )
    priors: dict[LabelId, float] = {
        "normal": 0.7, "covid19": 0.1, "bacterial_pneumonia": 0.1, "viral_pneumonia": 0.1
    }  # fmt: skip
    judgement = judge(outputs(0.2, 0.6, 0.1, 0.1), card, priors=priors)
    assert (judgement.status, judgement.candidates) == ("uncertain", ["normal", "covid19"])


# ---------------------------------------------------------------- population

CERTAIN = {"covid19": (0.01, 0.97, 0.01, 0.01), "viral_pneumonia": (0.01, 0.01, 0.01, 0.97),
           "normal": (0.97, 0.01, 0.01, 0.01)}  # fmt: skip


@pytest.mark.parametrize(
    ("label", "subject", "warnings"),
    [
        ("covid19", Subject(), ["population_unknown"]),
        ("covid19", Subject(view="PA"), ["population_unknown"]),
        ("covid19", Subject(age_years=60), []),
        ("covid19", Subject(age_years=60, view="AP"), []),
        ("covid19", Subject(age_years=4), ["age_outside_population"]),
        ("viral_pneumonia", Subject(age_years=60), ["age_outside_population"]),
        ("viral_pneumonia", Subject(age_years=5), []),
        ("normal", Subject(age_years=5), []),
        ("normal", Subject(age_years=18), []),
        ("normal", Subject(age_years=10), ["age_outside_population"]),
        ("normal", Subject(age_years=30, view="lateral"), ["view_outside_population"]),
        ("covid19", Subject(view="lateral"), ["population_unknown", "view_outside_population"]),
    ],
)
def test_whom_the_label_is_not_known_from_makes_it_uncertain(
    label: str, subject: Subject, warnings: list[str]
) -> None:
    card = Card.model_validate(make_card(population=POPULATION))
    judgement = judge(outputs(*CERTAIN[label]), card, subject)
    assert judgement.label == label
    assert judgement.warnings == warnings
    known = set(warnings) <= {"population_unknown"}
    assert judgement.status == ("ok" if known else "uncertain")
    assert bool(judgement.candidates) != known


@pytest.mark.parametrize("subject", [Subject(), Subject(age_years=60, view="lateral")])
def test_a_card_without_a_population_knows_of_nobody_whether_it_holds(
    subject: Subject, card: Card
) -> None:
    judgement = judge(outputs(*CERTAIN["covid19"]), card, subject)
    assert (judgement.status, judgement.warnings) == ("ok", ["population_unknown"])
