"""The reader: what is no longer wanted is not given to the network."""

import time
from pathlib import Path

import pytest

from app.errors import DeadlineExceeded
from app.model.session import Model, Outputs, Pixels
from app.reading.reader import Order, Reader
from app.service.service import load_bundle
from app.settings import Settings


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


def test_an_image_that_is_given_up_after_decoding_is_not_inferred(
    examples: dict[str, Path],
) -> None:
    model = Counting(load_bundle(Settings()))
    reader = Reader(model, Settings().limits)
    order = Order("id", "en", time.perf_counter())
    data = examples["normal"].read_bytes()
    for read in (
        lambda: reader.read(data, order, check=give_up),
        lambda: reader.explain(data, order, None, check=give_up),
        lambda: reader.draw(data, order, None, 0.5, check=give_up),
    ):
        with pytest.raises(DeadlineExceeded):
            read()
    assert model.runs == 0
