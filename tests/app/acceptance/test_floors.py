"""app.acceptance.floors: what is fitted holds its bound, and nothing is fitted on too little."""

import numpy as np
import pytest

from app.acceptance.floors import fit_certainty
from app.acceptance.site_figures import find_ok, measure_answered
from app.acceptance.survey import Survey, judge_all
from app.model.card import Card, Certainty
from app.model.labels import LABEL_IDS
from app.model.measured.acceptance_file import SiteRule
from tests.app.acceptance.sites import COVID, NORMAL, Told, card, seen, site
from tests.bundles import make_certainty

RIGHT: Told = ("normal", NORMAL, 0.95)


def fitted(survey: Survey, of: Card | None = None) -> Certainty:
    certainty = fit_certainty(survey, of or card(), None)
    assert isinstance(certainty, Certainty)
    return certainty


def test_seventy_two_patients_without_an_error_are_enough_and_one_less_is_not() -> None:
    assert fit_certainty(site([RIGHT] * 71), card(), None) == "too_few_films"
    certainty = fitted(site([RIGHT] * 72))
    assert (certainty.chosen_on, certainty.risk) == ("site", 0.05)
    assert certainty.wrong.value == 0
    assert 0.0499 < certainty.wrong.high <= 0.05
    assert certainty.answered.value == 1


def test_many_films_of_few_patients_are_not_enough() -> None:
    films = [seen(row, RIGHT, "normal", patient=str(row % 71)) for row in range(710)]
    assert fit_certainty(Survey(films, [], []), card(), None) == "too_few_films"


def test_false_alarms_raise_the_floors_over_them() -> None:
    alarms: list[Told] = [("normal", COVID, 0.7)] * 20
    certainty = fitted(site([RIGHT] * 100 + alarms))
    assert certainty.floors["covid19"] >= 0.7
    assert certainty.floors["normal"] <= 0.95
    assert certainty.answered.value == pytest.approx(100 / 120)
    assert certainty.wrong.value == 0


def test_one_label_that_can_not_be_relied_on_costs_the_others_nothing() -> None:
    alarms: list[Told] = [("normal", COVID, 0.999)] * 20  # surer than what is right
    certainty = fitted(site([RIGHT] * 100 + alarms))
    assert certainty.floors["covid19"] > 0.999
    assert certainty.answered.value == pytest.approx(100 / 120)


def test_where_sure_answers_are_wrong_nothing_is_fitted() -> None:
    survey = site([("covid19", NORMAL, 0.97)] * 30 + [RIGHT] * 100)
    assert fit_certainty(survey, card(), None) == "too_many_wrong"


def test_it_is_never_laxer_than_the_card() -> None:
    floors = {"normal": 0.9, "covid19": 0.8, "bacterial_pneumonia": 0.7, "viral_pneumonia": 0.6}
    certain = card(certainty=make_certainty(floors=floors, margin=0.3))
    certainty = fitted(site([RIGHT] * 300), certain)
    assert (certainty.floors, certainty.margin) == (floors, 0.3)
    points = dict.fromkeys(LABEL_IDS, 0.2) | {"normal": 0.93}
    certainty = fitted(site([RIGHT] * 300), card(operating_points=points))
    assert certainty.floors == dict.fromkeys(LABEL_IDS, 0.5) | {"normal": 0.93}


def test_a_sharper_temperature_answers_nothing_that_the_card_doubts() -> None:
    covid: list[Told] = [("covid19", COVID, 0.9)] * 100
    certain = card(certainty=make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.92)))
    survey = site([RIGHT] * 100 + covid)
    certainty = fit_certainty(survey, certain, None, temperature=0.5)  # 0.9 becomes 0.996
    assert isinstance(certainty, Certainty)
    assert certainty.answered.value == 0.5
    plain = make_certainty(floors=dict.fromkeys(LABEL_IDS, 0.89))
    certainty = fit_certainty(survey, card(certainty=plain), None, temperature=0.5)
    assert isinstance(certainty, Certainty)
    assert certainty.answered.value == 1


def test_what_a_card_without_certainty_doubts_stays_doubted() -> None:
    points = dict.fromkeys(LABEL_IDS, 0.03) | {"normal": 0.9}
    near: list[Told] = [("normal", NORMAL, 0.9)] * 100  # each other has 0.033, its point and more
    certainty = fitted(site([RIGHT] * 100 + near), card(operating_points=points))
    assert certainty.floors["normal"] == 0.9
    assert certainty.answered.value == 0.5


def test_what_is_told_of_it_is_what_serving_then_does() -> None:
    alarms: list[Told] = [("normal", COVID, 0.6)] * 20
    survey = site([RIGHT] * 100 + alarms + [None] * 4)
    certainty = fitted(survey)
    answers = judge_all(survey.seen, card(), None, SiteRule(certainty))
    assert measure_answered(survey, answers) == (certainty.answered, certainty.wrong)
    assert sum(find_ok(answers)) == 100


def test_the_bound_holds_nineteen_times_in_twenty() -> None:
    """At hospitals where one answer in ten is wrong however sure: what is claimed seldom fails."""
    generator = np.random.default_rng(0)
    claimed = 0
    for _ in range(60):
        wrong = generator.random(150) < 0.1
        sure = generator.uniform(0.55, 1, 150)
        told: list[Told] = [
            ("covid19" if bad else "normal", NORMAL, float(share))
            for bad, share in zip(wrong, sure, strict=True)
        ]
        claimed += isinstance(fit_certainty(site(told), card(), None), Certainty)
    assert claimed <= 6
