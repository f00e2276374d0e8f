"""app.reading.reader: bytes become a Reading by one inference, and what is unwanted by none."""

import hashlib
from pathlib import Path

import pytest

from app.errors import DeadlineExceeded
from app.model.session import Model, Outputs, Pixels
from app.reading.population import Subject
from app.reading.reader import Reader
from app.render.overlay import render_overlay
from app.render.reading_json import render_explanation, render_reading
from app.service.service import load_model_from
from app.settings.settings import Settings


class Counting:
    """A model that counts its runs."""

    def __init__(self, model: Model) -> None:
        self.card, self.card_json = model.card, model.card_json
        self._model = model
        self.runs = 0

    def run(self, pixels: Pixels) -> Outputs:
        self.runs += 1
        return self._model.run(pixels)


def give_up() -> None:
    raise DeadlineExceeded


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model_from(Settings())


def test_an_image_that_is_given_up_after_decoding_is_not_inferred(
    model: Model, examples: dict[str, Path]
) -> None:
    counting = Counting(model)
    reader = Reader(counting, Settings().limits)
    with pytest.raises(DeadlineExceeded):
        reader.read(examples["normal"].read_bytes(), check=give_up)
    assert counting.runs == 0


def test_one_inference_is_rendered_several_times(model: Model, examples: dict[str, Path]) -> None:
    counting = Counting(model)
    reading = Reader(counting, Settings().limits).read(examples["covid19"].read_bytes())
    english = render_reading(reading, "id", "en", 1.0)
    spanish = render_reading(reading, "id", "es", 1.0, overlay_png=render_overlay(reading, "es"))
    explanation = render_explanation(reading, "id", "en", "normal")
    assert counting.runs == 1
    assert (english.label, english.display_label) == ("covid19", "COVID-19")
    assert english.notice != spanish.notice
    assert spanish.heatmap is not None
    assert spanish.heatmap.map.label == "covid19"
    assert explanation.map.label == "normal"
    assert explanation.probability == english.probabilities["normal"]


def test_a_reading_says_what_it_was_made_from(model: Model, examples: dict[str, Path]) -> None:
    data = examples["covid19"].read_bytes()
    reading = Reader(model, Settings().limits).read(data, Subject(age_years=4))
    assert reading.facts.sha256 == hashlib.sha256(data).hexdigest()
    assert reading.card is model.card
    assert reading.judgement.warnings == ["age_outside_population", "site_not_validated"]
    assert reading.subject == Subject(age_years=4)
    assert sum(reading.outputs.probabilities.values()) == pytest.approx(1)
