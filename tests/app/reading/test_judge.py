"""Judging: arithmetic on known probabilities."""

import inspect

import numpy as np
import pytest

from app.model.card import Card
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.acceptance_file import Acceptance
from app.model.session import ImageOutputs, Outputs
from app.reading.judge import judge
from app.reading.population import Subject
from tests.bundles import make_acceptance, make_card, make_certainty


def outputs(*probabilities: float) -> ImageOutputs:
    row = np.array([probabilities], np.float32)
    empty = np.zeros((1, 4, 7, 7), np.float32)
    return Outputs(row, np.log(np.maximum(row, 1e-9)), empty, np.zeros(1, np.float32)).one(
        LABEL_IDS
    )


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
    ("probabilities", "reasons", "candidates"),
    [
        ((0.9, 0.04, 0.03, 0.03), [], []),
        ((0.1, 0.1, 0.5, 0.3), ["close_call"], ["bacterial_pneumonia", "viral_pneumonia"]),
        ((0.1, 0.1, 0.3, 0.5), ["close_call"], ["viral_pneumonia", "bacterial_pneumonia"]),
        ((0.1, 0.1, 0.65, 0.15), [], []),
        ((0.37, 0.27, 0.27, 0.09), ["low_confidence"], ["normal", "covid19"]),  # none reaches it
        ((0.39, 0.35, 0.16, 0.1), ["low_confidence"], ["normal", "covid19"]),  # not the one called
    ],
)
def test_an_answer_is_ok_if_the_label_called_alone_reaches_its_operating_point(
    doubting: Card, probabilities: tuple[float, ...], reasons: list[str], candidates: list[str]
) -> None:
    judgement = judge(outputs(*probabilities), doubting)
    assert judgement.reasons == reasons
    assert judgement.status == ("uncertain" if reasons else "ok")
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
    assert judgement.warnings == [*warnings, "site_not_validated"]
    assert judgement.reasons == [code for code in warnings if code != "population_unknown"]
    assert judgement.status == ("uncertain" if judgement.reasons else "ok")
    assert judgement.candidates == []  # no label is in doubt


@pytest.mark.parametrize("subject", [Subject(), Subject(age_years=60, view="lateral")])
def test_a_card_without_a_population_knows_of_nobody_whether_it_holds(
    subject: Subject, card: Card
) -> None:
    judgement = judge(outputs(*CERTAIN["covid19"]), card, subject)
    assert judgement.status == "ok"
    assert judgement.warnings == ["population_unknown", "site_not_validated"]


# ---------------------------------------------------------------- certainty

FLOORS = {"normal": 0.6, "covid19": 0.9, "bacterial_pneumonia": 0.5, "viral_pneumonia": 0.5}


@pytest.mark.parametrize(
    ("probabilities", "reasons", "candidates"),
    [
        ((0.75, 0.25, 0, 0), [], []),
        ((0.625, 0.125, 0.125, 0.125), [], []),
        ((0.5, 0.125, 0.125, 0.25), ["low_confidence"], ["normal", "viral_pneumonia"]),
        ((0.125, 0.875, 0, 0), ["low_confidence"], ["covid19", "normal"]),
        ((0, 0.9375, 0, 0.0625), [], []),
        ((0, 0, 0.5, 0.5), ["close_call"], ["bacterial_pneumonia", "viral_pneumonia"]),
        ((0, 0, 0.625, 0.375), [], []),  # exactly the margin
        ((0, 0, 0.5625, 0.4375), ["close_call"], ["bacterial_pneumonia", "viral_pneumonia"]),
        ((0.4375, 0.25, 0.25, 0.0625), ["low_confidence", "close_call"], ["normal", "covid19"]),
    ],
)
def test_with_certainty_an_answer_is_ok_from_the_labels_floor_on_and_ahead_by_the_margin(
    probabilities: tuple[float, ...], reasons: list[str], candidates: list[str]
) -> None:
    card = Card.model_validate(make_card(certainty=make_certainty(floors=FLOORS, margin=0.25)))
    judgement = judge(outputs(*probabilities), card)
    assert (judgement.reasons, judgement.candidates) == (reasons, candidates)
    assert judgement.status == ("uncertain" if reasons else "ok")


@pytest.mark.parametrize(("point", "status"), [(0.5, "ok"), (0.7, "ok"), (0.75, "uncertain")])
def test_an_operating_point_over_the_floor_is_asked_for_too(point: float, status: str) -> None:
    points = dict.fromkeys(LABEL_IDS, 0.1) | {"normal": point}
    certainty = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.6), margin=0.1)
    card = Card.model_validate(make_card(operating_points=points, certainty=certainty))
    # covid19 reaches its operating point too: with certainty the margin decides on that.
    assert judge(outputs(0.71, 0.19, 0.05, 0.05), card).status == status


def test_what_only_the_priors_call_is_not_ahead() -> None:
    even = dict.fromkeys(LABEL_IDS, 0.25)
    certainty = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.0), margin=0.0)
    card = Card.model_validate(make_card(priors=even, certainty=certainty))
    priors: dict[LabelId, float] = {
        "normal": 0.97, "covid19": 0.01, "bacterial_pneumonia": 0.01, "viral_pneumonia": 0.01
    }  # fmt: skip
    judgement = judge(outputs(0.2, 0.6, 0.1, 0.1), card, priors=priors)
    assert (judgement.label, judgement.reasons) == ("normal", ["close_call"])


# ---------------------------------------------------------------- labels known together

ELDERLY = {"low": 70, "high": 130}
TOGETHER = POPULATION | {
    "age_years": POPULATION["age_years"] | {"viral_pneumonia": [CHILDREN, ELDERLY]},  # type: ignore[operator]
    "together": [{"labels": ["bacterial_pneumonia", "viral_pneumonia"], "age_years": [ADULTS]}],
}
BACTERIAL, VIRAL = (0.01, 0.01, 0.96, 0.02), (0.01, 0.01, 0.02, 0.96)
KINDS = ["bacterial_pneumonia", "viral_pneumonia"]


@pytest.fixture
def knowing_sets() -> Card:
    certainty = make_certainty(floors=FLOORS, margin=0.25)
    return Card.model_validate(make_card(population=TOGETHER, certainty=certainty))


@pytest.mark.parametrize(
    ("probabilities", "age_years", "reasons"),
    [
        (BACTERIAL, 4, []),
        (BACTERIAL, 60, ["pneumonia_kind_unknown"]),
        (BACTERIAL, None, ["pneumonia_kind_unknown"]),
        (BACTERIAL, 10, ["age_outside_population"]),
        (VIRAL, 60, ["pneumonia_kind_unknown"]),
        (VIRAL, 80, []),
        (VIRAL, None, ["pneumonia_kind_unknown"]),
        ((0.01, 0.97, 0.01, 0.01), 60, []),
        ((0.01, 0.97, 0.01, 0.01), None, []),
    ],
)
def test_which_pneumonia_is_not_said_where_the_card_knows_them_only_together(
    knowing_sets: Card,
    probabilities: tuple[float, ...],
    age_years: float | None,
    reasons: list[str],
) -> None:
    judgement = judge(outputs(*probabilities), knowing_sets, Subject(age_years=age_years))
    assert judgement.reasons == reasons
    assert judgement.status == ("uncertain" if reasons else "ok")
    together = reasons == ["pneumonia_kind_unknown"]
    assert sorted(judgement.candidates) == (KINDS if together else [])
    assert ("age_outside_population" in judgement.warnings) == (age_years == 10)


@pytest.mark.parametrize(
    ("probabilities", "reasons", "candidates"),
    [
        # Together they are sure, each alone is not.
        ((0.02, 0.02, 0.5, 0.46), ["pneumonia_kind_unknown"], KINDS),
        # The set does not reach its floor, nor lead over COVID-19.
        ((0.05, 0.45, 0.5, 0.0), ["close_call", "pneumonia_kind_unknown"],
         ["bacterial_pneumonia", "covid19", "viral_pneumonia"]),
    ],
)  # fmt: skip
def test_a_set_is_claimed_by_the_sum_of_its_labels(
    knowing_sets: Card,
    probabilities: tuple[float, ...],
    reasons: list[str],
    candidates: list[str],
) -> None:
    judgement = judge(outputs(*probabilities), knowing_sets, Subject(age_years=60))
    assert (judgement.reasons, judgement.candidates) == (reasons, candidates)


@pytest.mark.parametrize("age_years", [60, None])
@pytest.mark.parametrize(
    ("probabilities", "reasons", "candidates"),
    [
        (VIRAL, ["pneumonia_kind_unknown"], ["viral_pneumonia", "bacterial_pneumonia"]),
        ((0.01, 0.01, 0.5, 0.48), ["pneumonia_kind_unknown"], KINDS),
        # 0.89 together, under the bacterial's 0.9.
        ((0.09, 0.02, 0.02, 0.87), ["low_confidence", "pneumonia_kind_unknown"],
         ["viral_pneumonia", "normal", "bacterial_pneumonia"]),
    ],
)  # fmt: skip
def test_a_set_is_not_doubted_for_the_kind_that_is_never_clear_by_itself(
    age_years: float | None,
    probabilities: tuple[float, ...],
    reasons: list[str],
    candidates: list[str],
) -> None:
    """As the shipped card's floors lie: viral pneumonia's is 1."""
    floors = FLOORS | {"bacterial_pneumonia": 0.9, "viral_pneumonia": 1.0}
    certainty = make_certainty(floors=floors, margin=0.25)
    card = Card.model_validate(make_card(population=TOGETHER, certainty=certainty))
    judgement = judge(outputs(*probabilities), card, Subject(age_years=age_years))
    assert judgement.status == "uncertain"
    assert (judgement.reasons, judgement.candidates) == (reasons, candidates)


def test_a_set_that_is_no_pneumonia_other_than_covid19_is_not_told_as_one() -> None:
    mixed = {"labels": ["covid19", "viral_pneumonia"], "age_years": [ADULTS]}
    card = Card.model_validate(make_card(population=POPULATION | {"together": [mixed]}))
    judgement = judge(outputs(*VIRAL), card, Subject(age_years=60))
    assert judgement.reasons == ["age_outside_population"]


# ---------------------------------------------------------------- a hospital's acceptance


def test_a_hospitals_own_floors_are_asked_besides_the_cards_and_end_the_warning() -> None:
    strict = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.95), chosen_on="site")
    acceptance = Acceptance.model_validate(make_acceptance(certainty=strict))
    card = Card.model_validate(make_card(certainty=make_certainty(floors=FLOORS)))
    before = judge(outputs(0.9, 0.1, 0, 0), card)
    after = judge(outputs(0.9, 0.1, 0, 0), card, site=acceptance.rule)
    assert (before.status, before.warnings) == ("ok", ["population_unknown", "site_not_validated"])
    assert (after.reasons, after.warnings) == (["low_confidence"], ["population_unknown"])


def test_a_hospitals_temperature_divides_the_logits() -> None:
    certainty = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.5), chosen_on="site")
    content = make_acceptance(certainty=certainty, temperature=2.0)
    card = Card.model_validate(make_card())
    # Logits are logarithms of these here: half of them is the square root.
    site = Acceptance.model_validate(content).rule
    judgement = judge(outputs(0.64, 0.16, 0.16, 0.04), card, site=site)
    assert judgement.probabilities == {
        "normal": 0.444444, "covid19": 0.222222, "bacterial_pneumonia": 0.222222,
        "viral_pneumonia": 0.111111,
    }  # fmt: skip
    assert judgement.reasons == ["low_confidence"]


LAX = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.5), chosen_on="site")


@pytest.mark.parametrize("temperature", [None, 0.25, 0.7, 3.0])
@pytest.mark.parametrize(
    "changes",
    [
        {"operating_points": POINTS},  # without certainty: no other may reach its own
        {"certainty": make_certainty(floors=FLOORS, margin=0.3), "operating_points": POINTS},
    ],
)
@pytest.mark.parametrize(
    "priors", [None, {"normal": 0.9, "covid19": 0.06} | dict.fromkeys(KINDS, 0.02)]
)
def test_a_hospital_answers_ok_only_what_the_card_answers_ok(
    changes: dict[str, object], temperature: float | None, priors: dict[LabelId, float] | None
) -> None:
    card = Card.model_validate(make_card(priors=dict.fromkeys(LABEL_IDS, 0.25), **changes))
    site = Acceptance.model_validate(make_acceptance(certainty=LAX, temperature=temperature)).rule
    generator = np.random.default_rng(1)
    found = 0
    for shares in generator.dirichlet([0.3] * 4, 500):
        there = judge(outputs(*shares), card, priors=priors, site=site)
        by_card = judge(outputs(*shares), card, priors=priors)
        if there.status == "ok":
            found += 1
            assert (by_card.status, by_card.label) == ("ok", there.label)
    assert found > 50


def test_an_acceptance_that_showed_nothing_changes_nothing_and_keeps_the_warning() -> None:
    acceptance = Acceptance.model_validate(make_acceptance(certainty=None))
    card = Card.model_validate(make_card(operating_points=POINTS))
    for probabilities in ((0.9, 0.04, 0.03, 0.03), (0.1, 0.1, 0.5, 0.3)):
        assert judge(outputs(*probabilities), card, site=acceptance.rule) == judge(
            outputs(*probabilities), card
        )
