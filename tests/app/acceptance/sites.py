"""Hospitals made up for tests: films whose answers and truths are known, without a picture."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from app.acceptance.films import Film
from app.acceptance.survey import Seen, Survey
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.session import Outputs
from tests.bundles import make_card

NORMAL, COVID, BACTERIAL, VIRAL = range(4)
REFUSED_AT = 9.0
Told = tuple[str, int, float]
"""Of a film: its label, which label is called, with which probability."""


def seen(row: int, told: Told | None, label: str, patient: str | None = None) -> Seen:
    """Return one film; `told` None is a refused one."""
    film = Film(row, Path("none"), label, patient or f"row {row}")
    if told is None:
        return Seen(film, None, REFUSED_AT)
    _, called, share = told
    shares = np.full((1, 4), (1 - share) / 3, np.float32)
    shares[0, called] = share
    empty = np.zeros((1, 4, 7, 7), np.float32)
    outputs = Outputs(shares, np.log(shares), empty, np.full(1, 0.5, np.float32)).one(LABEL_IDS)
    return Seen(film, outputs, outputs.distance)


def site(told: Iterable[Told | None], refused_label: str = "normal") -> Survey:
    """Return a survey of films, one a patient."""
    films = [
        seen(row, each, refused_label if each is None else each[0])
        for row, each in enumerate(told, 1)
    ]
    return Survey(films, [], [])


def card(**changes: object) -> Card:
    """Return a card, changed."""
    return Card.model_validate(make_card(**changes))
