"""app.model.measured.reference: bins, and the population stability index."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from app.model.labels import LABEL_IDS
from app.model.measured.reference import Histogram, Reference, stability_index


def test_the_same_shares_have_an_index_of_0_however_many_there_are() -> None:
    assert stability_index([10, 20, 30], [10, 20, 30]) == 0
    assert stability_index([100, 200, 300], [1000, 2000, 3000]) == pytest.approx(0, abs=1e-4)


def test_the_index_is_as_worked_out_by_hand() -> None:
    # Shares with half a film in each bin: 50.5 and 50.5 of 101, 25.5 and 75.5 of 101.
    expected = (25.5 - 50.5) / 101 * math.log(25.5 / 50.5) + (75.5 - 50.5) / 101 * math.log(
        75.5 / 50.5
    )
    assert stability_index([50, 50], [25, 75]) == pytest.approx(expected)
    assert expected == pytest.approx(0.2687, abs=1e-4)


def test_a_bin_that_holds_none_is_no_division_by_0() -> None:
    assert 1 < stability_index([100, 0], [0, 100]) < 20


def test_of_the_very_population_it_is_about_bins_less_one_over_films() -> None:
    generator = np.random.default_rng(0)
    found = generator.multinomial(500, [0.1] * 10, size=200)
    indexes = [stability_index([100_000] * 10, counts.tolist()) for counts in found]
    assert np.mean(indexes) == pytest.approx(9 / 500, rel=0.15)


def test_a_histogram_has_as_many_films_in_each_bin() -> None:
    histogram = Histogram.of(np.arange(1000) / 10)
    assert histogram.counts == [100] * 10
    assert histogram.edges[0] == pytest.approx(9.99)


@pytest.mark.parametrize(
    ("value", "place"),
    [(-1.0, 0), (0.99, 0), (1.0, 1), (1.5, 1), (2.0, 2), (9.0, 2), (math.nan, 2), (math.inf, 2)],
)
def test_a_value_is_found_in_its_bin(value: float, place: int) -> None:
    assert Histogram(edges=[1, 2], counts=[1, 1, 1]).bin_of(value) == place


def test_values_that_are_mostly_the_same_have_fewer_bins_that_hold_all() -> None:
    values = [1.0] * 95 + [0.2, 0.4, 0.6, 0.8, 0.9]
    histogram = Histogram.of(values)
    assert (histogram.edges, histogram.counts) == ([1.0], [5, 95])
    assert [histogram.bin_of(value) for value in (0.9, 1.0)] == [0, 1]


@pytest.mark.parametrize(
    "content",
    [
        {"edges": [1, 2], "counts": [1, 2]},
        {"edges": [2, 1], "counts": [1, 2, 3]},
        {"edges": [1, 1], "counts": [1, 2, 3]},
        {"edges": [], "counts": [-1]},
        {"edges": list(range(32)), "counts": [1] * 33},
    ],
)
def test_a_histogram_that_is_none_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Histogram.model_validate(content)


def test_a_reference_counts_every_label() -> None:
    histogram = {"edges": [1.0], "counts": [1, 1]}
    content = {"images": 2, "distance": histogram, "confidence": histogram}
    labels = dict.fromkeys(LABEL_IDS, 1)
    Reference.model_validate(content | {"labels": labels})
    with pytest.raises(ValidationError, match="labels has not one entry for each label"):
        Reference.model_validate(content | {"labels": {"normal": 1}})
