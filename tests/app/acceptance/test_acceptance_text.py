"""app.acceptance.acceptance_text: the table that people read, in both languages."""

from typing import Any

import pytest

from app.acceptance.acceptance_text import describe_acceptance
from app.language import Language
from app.model.card import Card
from app.model.measured.acceptance_file import Acceptance
from tests.bundles import make_acceptance, make_card, make_certainty

CARD = Card.model_validate(make_card())


def describe(language: Language = "en", **changes: Any) -> str:  # noqa: ANN401 - any member
    acceptance = Acceptance.model_validate(make_acceptance(**changes))
    return describe_acceptance(acceptance, CARD, language)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_tells_films_figures_and_what_was_fitted() -> None:
    floors = {"normal": 0.9, "covid19": 1.0, "bacterial_pneumonia": 0.5, "viral_pneumonia": 0.5}
    certainty = make_certainty(floors=floors, margin=0.25, chosen_on="site")
    told = describe(unreadable=[3, 17], certainty=certainty, temperature=1.5)
    assert told.startswith("neumo-test-1 on 100 films of 100 patients (North wing, 2026-11-28)\n")
    assert "rows: 3, 17" in told
    rate = "10.0% (5.0% - 20.0%)"
    assert flat(f"refused as no chest X-ray {rate} {rate}") in flat(told)
    assert flat(f"normal, called COVID19 {rate} {rate}") in flat(told)
    assert "at most 5% of the ok answers are wrong" in flat(told)
    assert "normal 0.9, covid19 never" in flat(told)
    assert "lead over the next: 0.25; temperature 1.5." in flat(told)


def test_films_of_normal_alone_are_told_to_show_half() -> None:
    assert "what is missed is not" in flat(describe())
    assert "what is missed is not" not in flat(describe(images_by_label={"normal": 1, "other": 2}))


@pytest.mark.parametrize(
    ("why", "told"), [("too_few_films", "too few films"), ("too_many_wrong", "Don't rely on")]
)
def test_it_says_plainly_why_nothing_was_fitted(why: str, told: str) -> None:
    text = flat(describe(certainty=None, by_site=None, why_not=why))
    assert told in text
    assert "site_not_validated stays" in text
    assert "as fitted here" not in text


def test_more_refusals_than_at_the_card_are_told() -> None:
    drift = make_acceptance()["drift"]
    assert isinstance(drift, dict)
    few, many = ({"value": v, "low": v - 0.01, "high": v + 0.01} for v in (0.02, 0.2))
    assert "look at those films" in flat(describe(drift=drift | {"card_refused": few}))
    assert "look at those films" not in flat(describe(drift=drift | {"card_refused": many}))


def test_a_shift_is_told_beside_the_cards_reference_where_there_is_one() -> None:
    rate = {"value": 0.3, "low": 0.2, "high": 0.4}
    spread = {"stability_index": 0.311, "by_chance": 0.09, "beyond": rate, "card_beyond": 0.1}
    drift = make_acceptance()["drift"]
    assert isinstance(drift, dict)
    told = flat(describe(drift=drift | {"spread": spread}))
    assert "stability index 0.31, about 0.09 by chance alone" in told
    assert "30.0% (20.0% - 40.0%) lie further out than all but 10% of those." in told
    assert "doesn't tell how its own distances" not in told
    assert "doesn't tell how its own distances" in flat(describe())
    spanish = flat(describe("es", drift=drift | {"spread": spread}))
    assert "30.0% (20.0% - 40.0%) están más lejos que todas aquellas menos el 10%." in spanish


@pytest.mark.parametrize("language", ["en", "es"])
def test_no_line_is_longer_than_a_terminal_takes(language: Language) -> None:
    rate = {"value": 1.0, "low": 0.972, "high": 1.0}
    figures = {
        "refused": rate, "false_alarms": {"bacterial_pneumonia": rate},
        "confident_false_alarms": {"bacterial_pneumonia": rate},
        "sensitivity": {"bacterial_pneumonia|viral_pneumonia": rate},
        "answered": rate, "wrong": rate,
    }  # fmt: skip
    told = describe(language, by_card=figures, by_site=figures)
    assert max(map(len, told.splitlines())) <= 88
    assert ("Neumonía" in told) is False  # labels are named by the card
    assert ("bacterial_pneumonia / viral_pneumonia" in told) == (language == "es")
