"""app.acceptance.site_temperature: fitted where held-out films gain by it, and else left alone."""

from pathlib import Path

import numpy as np
import pytest

from app.acceptance.films import Film
from app.acceptance.site_temperature import fit_site_temperature
from app.acceptance.survey import Seen
from app.model.labels import LABEL_IDS
from app.model.session import Outputs
from tests.app.acceptance.sites import card, seen


def drawn(count: int, temperature: float, seed: int = 0, known: int = 4) -> list[Seen]:
    """Draw films whose labels follow the logits divided by `temperature`, of the first labels."""
    generator = np.random.default_rng(seed)
    films = []
    empty = np.zeros((1, 4, 7, 7), np.float32)
    for row in range(count):
        logits = generator.normal(0, 3, (1, 4)).astype(np.float32)
        cooled = np.exp(logits[0, :known] / temperature)
        label = LABEL_IDS[generator.choice(known, p=cooled / cooled.sum())]
        outputs = Outputs(logits, logits, empty, empty[0, 0, 0, :1]).one(LABEL_IDS)
        films.append(Seen(Film(row, Path("none"), label, str(row)), outputs, outputs.distance))
    return films


def test_a_temperature_is_found_where_the_cards_is_wrong() -> None:
    assert fit_site_temperature(drawn(400, 2.5), card()) == pytest.approx(2.5, rel=0.25)
    assert fit_site_temperature(drawn(400, 0.4), card()) == pytest.approx(0.4, rel=0.25)


def test_the_cards_own_is_left_where_it_is_right() -> None:
    found = [fit_site_temperature(drawn(150, 1.0, seed), card()) for seed in range(20)]
    assert sum(each is not None for each in found) <= 3


def test_few_films_and_films_of_one_label_fit_none() -> None:
    assert fit_site_temperature(drawn(39, 3.0), card()) is None
    assert fit_site_temperature(drawn(400, 3.0, known=1), card()) is None


def test_films_of_no_label_and_refused_ones_do_not_count() -> None:
    told = ("other", 0, 0.9)
    others = [seen(row, told, "other") for row in range(1000, 1100)]
    refused = [seen(row, None, "normal") for row in range(2000, 2100)]
    films = drawn(400, 2.5)
    assert fit_site_temperature([*films, *others, *refused], card()) == fit_site_temperature(
        films, card()
    )
    assert fit_site_temperature([*drawn(30, 3.0), *others, *refused], card()) is None
