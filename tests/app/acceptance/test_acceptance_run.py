"""app.acceptance.acceptance_run: the same films get no second chance."""

from pathlib import Path

import numpy as np
import pytest

from app.acceptance.acceptance_run import accept
from app.acceptance.films import Film
from app.model.measured.acceptance_file import Acceptance
from app.settings.settings import Settings
from tests.images import encode
from tests.models import FakeModel

MOSTLY_NORMAL = (0.9, 0.04, 0.03, 0.03)


def accepted(folder: Path, count: int) -> Acceptance:
    """Measure that many normal films, no two alike."""
    films = []
    for row in range(count):
        path = folder / f"{row}.png"
        path.write_bytes(encode(np.full((224, 224), row, np.uint8), "PNG"))
        films.append(Film(row, path, "normal", str(row)))
    return accept(films, FakeModel(MOSTLY_NORMAL), Settings().limits)


def test_where_a_temperature_leaves_no_floors_none_are_tried_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accepted(tmp_path, 72).certainty is not None
    # The logits of this model are all 0: at any temperature of its own nothing is `ok`.
    monkeypatch.setattr("app.acceptance.acceptance_run.fit_site_temperature", lambda *_: 2.0)
    told = accepted(tmp_path, 72)
    assert (told.certainty, told.why_not, told.temperature) == (None, "too_few_films", None)
