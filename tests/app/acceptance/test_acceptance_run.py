"""app.acceptance.acceptance_run: what may be tried on the same films shares the error."""

from pathlib import Path

import numpy as np

from app.acceptance.acceptance_run import accept
from app.acceptance.films import Film
from app.settings.settings import Settings
from tests.images import encode
from tests.models import FakeModel

MOSTLY_NORMAL = (0.9, 0.04, 0.03, 0.03)


def films(folder: Path, labels: list[str]) -> list[Film]:
    """Write a film of each label, no two alike."""
    for row in range(len(labels)):
        pixels = np.full((224, 224), row, np.uint8)
        (folder / f"{row}.png").write_bytes(encode(pixels, "PNG"))
    return [Film(row, folder / f"{row}.png", label, str(row)) for row, label in enumerate(labels)]


def test_films_of_several_labels_need_more_for_a_temperature_might_be_tried(
    tmp_path: Path,
) -> None:
    alone, several = ["normal"] * 86, ["normal|covid19"] * 2 + ["normal"] * 84
    for labels, why_not in (
        (alone[:72], None),
        (several[:72], "too_few_films"),
        (several[:85], "too_few_films"),
        (several, None),
    ):
        model = FakeModel(MOSTLY_NORMAL)
        acceptance = accept(films(tmp_path, labels), model, Settings().limits)
        assert (acceptance.why_not, acceptance.temperature) == (why_not, None)
