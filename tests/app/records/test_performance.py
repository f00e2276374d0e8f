"""app.records.performance: figures of a few films, worked out by hand."""

import pytest

from app.model.labels import LABEL_IDS
from app.model.measured.acceptance_file import Acceptance
from app.records.performance import Case, Performance, work_out
from tests.bundles import make_acceptance


def case(truth: str, called: str | None, status: str = "ok", share: float = 0.9) -> Case:
    """Return a film; what isn't called shares the rest evenly. None: it was refused."""
    if called is None:
        return Case(truth.split("|"), None, None, None)
    shares = {label: share if label == called else (1 - share) / 3 for label in LABEL_IDS}
    return Case(truth.split("|"), called, status, shares)


def work(cases: list[Case], acceptance: Acceptance | None = None) -> Performance:
    return work_out(cases, "neumo-test-1", "0" * 64, 90, acceptance)


def test_sensitivity_and_specificity_count_films() -> None:
    cases = [
        *[case("covid19", "covid19")] * 8, case("covid19", "normal"), case("covid19", None),
        *[case("normal", "normal")] * 9, case("normal", "covid19", "uncertain"),
    ]  # fmt: skip
    figures = work(cases)
    covid19, normal = figures.labels["covid19"], figures.labels["normal"]
    assert (covid19.sensitivity.live.hits, covid19.sensitivity.live.films) == (8, 10)
    # Clopper and Pearson's own limits of 8 in 10, as any table has them.
    assert covid19.sensitivity.live.low == pytest.approx(0.443905, abs=1e-6)
    assert covid19.sensitivity.live.high == pytest.approx(0.974789, abs=1e-6)
    assert (covid19.specificity.hits, covid19.specificity.films) == (9, 10)
    assert (normal.sensitivity.live.hits, normal.sensitivity.live.films) == (9, 10)
    assert (normal.specificity.hits, normal.specificity.films) == (9, 10)
    assert (figures.films, figures.answered.hits) == (20, 18)
    assert (figures.wrong.live.hits, figures.wrong.live.films) == (1, 18)


def test_without_films_nothing_is_known() -> None:
    live = work([]).labels["covid19"].sensitivity.live
    assert (live.value, live.low, live.high, live.films) == (None, 0.0, 1.0, 0)


def test_of_a_set_its_labels_are_neither_shown_nor_ruled_out() -> None:
    kinds = "bacterial_pneumonia|viral_pneumonia"
    figures = work([case(kinds, "viral_pneumonia"), case(kinds, "covid19")])
    assert figures.labels["viral_pneumonia"].sensitivity.live.films == 0
    assert figures.labels["viral_pneumonia"].specificity.films == 0
    covid19 = figures.labels["covid19"].specificity
    assert (covid19.hits, covid19.films) == (1, 2)
    live = figures.others[kinds].live
    assert (live.hits, live.films) == (1, 2)


def test_of_another_finding_normal_is_right() -> None:
    figures = work([case("other", "normal"), case("other", "covid19")])
    assert (figures.others["other"].live.hits, figures.wrong.live.hits) == (1, 1)
    assert figures.labels["normal"].sensitivity.live.films == 0
    assert figures.labels["normal"].specificity.films == 0
    assert figures.labels["covid19"].specificity.films == 2


def test_calibration_compares_probabilities_with_what_was_the_case() -> None:
    cases = [
        *[case("covid19", "covid19", share=0.7)] * 7, *[case("normal", "covid19", share=0.7)] * 3,
        *[case("normal", "normal", share=0.97)] * 10, case("covid19", None),
    ]  # fmt: skip
    figures = work(cases).labels["covid19"].calibration
    assert (figures.observed.hits, figures.observed.films) == (7, 20)  # the refused one has none
    assert figures.mean_probability == pytest.approx((10 * 0.7 + 10 * 0.01) / 20)
    assert figures.holds is True
    assert figures.brier == pytest.approx((7 * 0.3**2 + 3 * 0.7**2 + 10 * 0.01**2) / 20, abs=1e-6)
    assert [(each.low, each.observed.hits, each.observed.films) for each in figures.bins] == [
        (0.0, 0, 10), (0.7, 7, 10),
    ]  # fmt: skip
    certain = work([case("covid19", "covid19", share=1.0)] * 3).labels["covid19"].calibration
    assert [(each.low, each.observed.films) for each in certain.bins] == [(0.9, 3)]


def test_probabilities_that_lie_do_not_hold() -> None:
    cases = [case("normal", "covid19", share=0.9)] * 30
    assert work(cases).labels["covid19"].calibration.holds is False


@pytest.mark.parametrize(
    ("right", "films", "against"), [(9, 10, "within"), (5, 30, "below"), (100, 100, "above")]
)
def test_live_figures_are_held_against_the_acceptance(right: int, films: int, against: str) -> None:
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    site = dict(make_acceptance()["by_site"])  # type: ignore[call-overload]
    site |= {"sensitivity": {"covid19": interval}}
    acceptance = Acceptance.model_validate(make_acceptance(by_site=site))
    cases = [case("covid19", "covid19")] * right + [case("covid19", "normal")] * (films - right)
    figures = work(cases, acceptance)
    assert figures.labels["covid19"].sensitivity.against == against
    accepted = figures.labels["covid19"].sensitivity.accepted
    assert accepted is not None
    assert accepted.low == 0.7
    assert figures.labels["normal"].sensitivity.against is None
