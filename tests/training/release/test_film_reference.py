"""training.release.film_reference: what a card tells of how validation's films lie."""

import numpy as np

from app.model.labels import LABEL_IDS
from app.model.session import Outputs
from training.release.film_reference import describe_films

FILMS = 40


def answer_films() -> Outputs:
    """Return outputs of 40 films: ten called by each label, further away one after the other."""
    probabilities = np.full((FILMS, 4), 0.1, np.float32)
    rows = np.arange(FILMS)
    probabilities[rows, rows % 4] = 0.7
    return Outputs(
        probabilities=probabilities,
        logits=probabilities,
        cam=np.zeros((FILMS, 4, 1, 1), np.float32),
        distance=rows.astype(np.float32),
    )


def test_films_are_counted_by_what_they_are_called_and_how_far_they_lie() -> None:
    reference = describe_films(answer_films())
    assert reference.images == FILMS
    assert reference.labels == dict.fromkeys(LABEL_IDS, 10)
    assert reference.distance.counts == [4] * 10
    assert reference.distance.bin_of(0.0) == 0
    assert reference.distance.bin_of(39.0) == 9


def test_a_confidence_that_is_always_the_same_leaves_one_bin_that_holds_all() -> None:
    reference = describe_films(answer_films())
    assert sum(reference.confidence.counts) == FILMS
    assert reference.confidence.counts[reference.confidence.bin_of(float(np.float32(0.7)))] == FILMS
