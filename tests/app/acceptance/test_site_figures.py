"""app.acceptance.site_figures: shares by hand, limits by patient."""

import math

import pytest

from app.acceptance.site_figures import measure_drift, measure_figures, measure_share
from app.acceptance.survey import Survey, judge_all
from app.model.labels import LABEL_IDS
from app.model.measured.binomial import exact_limits
from tests.app.acceptance.sites import BACTERIAL, COVID, NORMAL, VIRAL, card, seen, site

POINTS = {"normal": 0.5, "covid19": 0.5, "bacterial_pneumonia": 0.5, "viral_pneumonia": 0.5}


def test_a_share_has_the_limits_of_as_many_patients() -> None:
    part, patients = [True] * 3 + [False] * 7, [str(row) for row in range(10)]
    alone = measure_share(part, [True] * 10, patients)
    assert (alone.value, alone.low, alone.high) == (0.3, *exact_limits(3, 10))
    assert measure_share(part, [True] * 10, ["one"] * 10).high == pytest.approx(
        exact_limits(0.3, 1)[1]
    )
    twice = measure_share(part * 2, [True] * 20, patients * 2)
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))


def test_only_what_is_in_the_whole_counts() -> None:
    share = measure_share([True, True, False], [False, True, True], ["a", "b", "c"])
    assert share.value == 0.5
    nothing = measure_share([True], [False], ["a"])
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 1)


def test_figures_count_a_refused_film_as_not_called() -> None:
    survey = site(
        [
            ("normal", NORMAL, 0.9), ("normal", COVID, 0.9), ("normal", COVID, 0.4), None,
            ("covid19", COVID, 0.9), ("covid19", NORMAL, 0.9),
            ("bacterial_pneumonia|viral_pneumonia", VIRAL, 0.9),
            ("bacterial_pneumonia|viral_pneumonia", COVID, 0.4),
            ("other", NORMAL, 0.9), ("other", BACTERIAL, 0.9),
        ]
    )  # fmt: skip
    answers = judge_all(survey.seen, card(operating_points=POINTS), None)
    figures = measure_figures(survey, answers)
    assert figures.refused.value == 1 / 10
    assert figures.answered.value == 7 / 10
    assert figures.wrong.value == pytest.approx(3 / 7)  # normal as covid19 and back, other
    assert {label: each.value for label, each in figures.false_alarms.items()} == {
        "covid19": 2 / 4, "bacterial_pneumonia": 0, "viral_pneumonia": 0
    }  # fmt: skip
    assert figures.confident_false_alarms["covid19"].value == 1 / 4
    assert {label: each.value for label, each in figures.sensitivity.items()} == {
        "normal": 1 / 4, "covid19": 1 / 2, "bacterial_pneumonia|viral_pneumonia": 1 / 2
    }  # fmt: skip


def test_without_normal_films_no_false_alarms_are_told() -> None:
    survey = site([("covid19", COVID, 0.9)])
    figures = measure_figures(survey, judge_all(survey.seen, card(), None))
    assert (figures.false_alarms, figures.confident_false_alarms) == ({}, {})


def test_drift_is_told_by_the_cards_own_threshold_and_figures() -> None:
    survey = site([("normal", NORMAL, 0.9)] * 3)  # at distance 0.5
    drift = measure_drift(survey, card(distance_threshold=2.0))
    assert (drift.median_distance, drift.distance_95) == (0.25, 0.25)
    assert drift.card_refused is None
    assert drift.card_sensitivity["covid19"].value == 0.9
    assert measure_drift(survey, card()).median_distance is None
    assert measure_drift(survey, card()).spread is None
    refused = Survey([seen(1, None, "normal")], [], [])
    assert measure_drift(refused, card(distance_threshold=2.0)).median_distance is None


def test_distances_are_compared_with_the_cards_reference_refused_films_too() -> None:
    expected = {"edges": [0.2, 0.6], "counts": [50, 40, 10]}
    reference = {
        "images": 100, "distance": expected, "confidence": expected,
        "labels": dict.fromkeys(LABEL_IDS, 25),
    }  # fmt: skip
    survey = site([("normal", NORMAL, 0.9)] * 6 + [None] * 2)  # 6 at 0.5, 2 far out
    spread = measure_drift(survey, card(reference=reference)).spread
    assert spread is not None
    # Half a film more in each bin, of 101.5 and of 9.5.
    shares = [(50.5 / 101.5, 0.5 / 9.5), (40.5 / 101.5, 6.5 / 9.5), (10.5 / 101.5, 2.5 / 9.5)]
    by_hand = sum((new - old) * math.log(new / old) for old, new in shares)
    assert spread.stability_index == pytest.approx(by_hand, abs=1e-6)
    assert (spread.by_chance, spread.card_beyond) == (2 / 8, 0.1)
    assert (spread.beyond.value, spread.beyond.low) == (2 / 8, exact_limits(2, 8)[0])
    one_bin = reference | {"distance": {"edges": [], "counts": [100]}}
    assert measure_drift(survey, card(reference=one_bin)).spread is None
