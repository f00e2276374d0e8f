"""training.html_report.films_part: which films a page may show, and what is drawn over them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.model.labels import LABEL_IDS
from training.asking.asking import Asked
from training.data.images import ImageSet
from training.data.manifest import Sample
from training.html_report.films_part import (
    Showing,
    describe_mistakes,
    draw_film,
    find_worst,
    is_free,
)
from training.html_report.material import Material
from training.measure.predictions import Predictions
from training.metrics.metrics import measure

LICENCES = ["CC BY 4.0", "not stated", "CC0", "CC BY-NC 4.0"]


def ask(probabilities: list[list[float]], truths: list[int], *, films: bool = True) -> Material:
    """Return material of answers for images of the `LICENCES` in turn."""
    count = len(truths)
    told = np.array(probabilities, np.float32)
    predictions = Predictions(
        data_sets=np.full(count, "cxr"),
        paths=np.array([f"train/<{row}>.png" for row in range(count)]),
        splits=np.full(count, "validation"),
        sources=np.full(count, "a"),
        labels=np.array([LABEL_IDS[truth] for truth in truths]),
        patients=np.array([str(row) for row in range(count)]),
        probabilities=told,
        logits=np.zeros((count, 4), np.float32),
        distance=np.full(count, 1, np.float32),
        statuses=np.full(count, "ok"),
    )
    samples = [
        Sample(Path(), frozenset({truth}), str(row), "train", "a", LICENCES[row % 4])
        for row, truth in enumerate(truths)
    ]
    pixels = np.full((count, 1, 224, 224), 90, np.uint8)
    figures = measure(np.array(truths), told, predictions.patients.tolist(), ["a"] * count)
    maps = np.ones((count, 4, 2, 2), np.float32)
    images = ImageSet(pixels, samples) if films else None
    return Material("m", asked=Asked("validation", "by hand", predictions, figures, images, maps))


SURE = [0.01, 0.97, 0.01, 0.01]
UNSURE = [0.4, 0.3, 0.2, 0.1]
FOUND = ask([SURE, SURE, UNSURE, SURE, SURE, [0, 0, 1, 0]], [0, 3, 1, 2, 1, 2])


def test_the_worst_are_those_whose_wrong_label_led_by_most() -> None:
    assert FOUND.asked is not None
    # Rows 4 and 5 are right; 2 leads by a tenth; the rest by the same, in the order of their paths.
    assert find_worst(FOUND.asked) == [0, 1, 3, 2]


@pytest.mark.parametrize(
    "licence", ["CC0", "cc0 1.0", "CC BY 4.0", "CC-BY 4.0", "CC BY-SA 3.0 DE", "Public domain"]
)
def test_a_licence_that_lets_anyone_pass_a_film_on_is_free(licence: str) -> None:
    assert is_free(licence)


@pytest.mark.parametrize(
    "licence",
    [
        *("not stated", "", "CC BY-NC 4.0", "CC BY-ND 4.0", "CC BY-NC-SA 4.0", "research use"),
        *("public case reports, see source", "CC BY 4.0 for the labels only", "not CC0"),
        "NIH ChestX-ray14, unrestricted with attribution",
    ],
)
def test_any_other_licence_is_not(licence: str) -> None:
    assert not is_free(licence)


def test_only_films_whose_licence_allows_it_are_shown_and_the_rest_is_told() -> None:
    page = describe_mistakes(FOUND, Showing())
    # Of rows 0, 1, 3, 2: CC BY, not stated, CC BY-NC, CC0.
    assert page.count("class='film'") == 2
    assert "film; a, CC BY 4.0" in page
    assert "film; a, CC0" in page
    assert "2 film(s) are not shown" in page
    assert "(CC BY-NC 4.0; not stated)" in page


def test_a_licence_that_is_named_is_shown_too() -> None:
    page = describe_mistakes(FOUND, Showing(licences=["not stated"]))
    assert page.count("class='film'") == 3


def test_no_films_are_shown_where_none_are_wanted_but_the_mistakes_are_listed() -> None:
    page = describe_mistakes(FOUND, Showing(films=False, licences=["not stated"]))
    assert "<img" not in page
    assert "--no-films" in page
    assert page.count("<tr>") == 1 + 4
    assert "cxr/train/&lt;0&gt;.png" in page  # a name is a text, whatever it holds


def test_films_that_were_not_read_are_asked_for() -> None:
    page = describe_mistakes(ask([UNSURE, SURE, *np.eye(4).tolist()[2:]], [1, 0, 2, 3]), Showing())
    assert "<img" in page
    unread = ask([UNSURE, SURE, *np.eye(4).tolist()[2:]], [1, 0, 2, 3], films=False)
    assert "<code>--data</code> brings them" in describe_mistakes(unread, Showing())


def test_normal_has_no_map() -> None:
    page = describe_mistakes(FOUND, Showing())
    shown = page[page.index("class='film'") :].partition("class='film'")[2]
    first = shown.partition("</p>")[0]  # normal, called COVID-19
    assert first.count("<img") == 2
    assert "called: covid19" in first
    assert "true: normal" not in first


def test_what_speaks_for_a_label_is_drawn_over_the_film_and_nothing_else() -> None:
    film = np.full((64, 64), 100, np.uint8)
    cam = np.array([[4, -4], [-4, -4]], np.float32)

    def read(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int64)

    plain, marked = read(draw_film(film)), read(draw_film(film, cam))
    assert np.abs(plain - 100).max() <= 3
    assert np.abs(marked[:8, :8] - 100).max() > 60  # viridis' yellow
    assert np.abs(marked[40:, 40:] - 100).max() <= 6
    nothing = read(draw_film(film, -np.abs(cam)))
    assert np.abs(nothing - 100).max() <= 3
