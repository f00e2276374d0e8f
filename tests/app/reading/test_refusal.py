"""app.reading.refusal: what is refused as no chest X-ray, and what would mend it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from app.errors import DeadlineExceeded, NotAChestXray
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.session import Outputs, Pixels
from app.reading.refusal import refuse_unlike
from tests.bundles import make_card

CHEST = np.add.outer(np.arange(224), np.zeros(224)).astype(np.uint8)[None, None]  # dark on top


class Template:
    """A model to which the mean grey difference from `CHEST` is the distance."""

    card_json = b""

    def __init__(self, threshold: float | None) -> None:
        self.card = Card.model_validate(make_card(distance_threshold=threshold))
        self.runs = 0

    def run(self, pixels: Pixels) -> Outputs:
        self.runs += 1
        count = len(pixels)
        distance = np.abs(pixels.astype(float) - CHEST).mean((1, 2, 3), np.float32)
        empty = np.zeros((count, 4), np.float32)
        return Outputs(empty, empty, np.zeros((count, 4, 7, 7), np.float32), distance)


def look_at(pixels: Pixels, threshold: float | None = 10.0) -> int:
    """Run and judge; return how often the model had to run."""
    model = Template(threshold)
    refuse_unlike(model, pixels, model.run(pixels).one(LABEL_IDS))
    return model.runs


def test_what_is_near_passes_with_one_run() -> None:
    assert look_at(CHEST) == 1
    assert look_at(np.clip(CHEST.astype(int) + 9, 0, 255).astype(np.uint8)) == 1


def test_a_distance_equal_to_the_threshold_passes() -> None:
    exactly = Template(None).run(255 - CHEST).distance[0]
    assert look_at(255 - CHEST, float(exactly)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pixels: pixels[:, :, ::-1, ::-1], "upside_down"),
        (lambda pixels: np.rot90(pixels, 1, (2, 3)), "sideways"),
        (lambda pixels: np.rot90(pixels, 3, (2, 3)), "sideways"),
        (lambda pixels: pixels * 0 + np.arange(224, dtype=np.uint8) // 2 + 100, "unknown"),
    ],
)
def test_the_refusal_names_what_would_mend_it(
    change: Callable[[Pixels], Pixels], reason: str
) -> None:
    model, pixels = Template(10.0), np.ascontiguousarray(change(CHEST))
    outputs = model.run(pixels).one(LABEL_IDS)
    with pytest.raises(NotAChestXray) as refusal:
        refuse_unlike(model, pixels, outputs)
    assert refusal.value.facts == {"reason": reason}
    assert model.runs == 2  # all mends in one


@pytest.mark.parametrize(
    ("change", "orientation", "reason"),
    [
        (lambda pixels: np.rot90(pixels, 2, (2, 3)), (0, 0.9, 0, 0, 0.1), "upside_down"),
        (lambda pixels: np.rot90(pixels, 1, (2, 3)), (0, 0, 0.9, 0.1, 0), "sideways"),
        (lambda pixels: np.rot90(pixels, 3, (2, 3)), (0, 0.1, 0, 0.9, 0), "sideways"),
        (lambda pixels: np.rot90(pixels, 3, (2, 3)), (0, 0.9, 0, 0.1, 0), "unknown"),
    ],
)
def test_a_far_picture_is_looked_at_once_more_as_the_network_takes_it(
    change: Callable[[Pixels], Pixels], orientation: tuple[float, ...], reason: str
) -> None:
    model, pixels = Compass(*orientation, distance=10.0), np.ascontiguousarray(change(CHEST))
    looked_at: list[int] = []
    outputs = model.run(pixels).one(LABEL_IDS)
    with pytest.raises(NotAChestXray) as refusal:
        refuse_unlike(model, pixels, outputs, lambda: looked_at.append(model.runs))
    assert refusal.value.facts == {"reason": reason}
    assert model.runs == 2
    assert looked_at == [1]  # asked between the two whether it is still wanted


def test_a_far_picture_that_is_not_wanted_any_more_is_not_looked_at_again() -> None:
    model = Compass(0, 0.9, 0, 0, 0.1, distance=10.0)
    outputs = model.run(255 - CHEST).one(LABEL_IDS)

    def give_up() -> None:
        raise DeadlineExceeded

    with pytest.raises(DeadlineExceeded):
        refuse_unlike(model, 255 - CHEST, outputs, give_up)
    assert model.runs == 1


def test_an_inverted_picture_is_known_by_its_grey_levels() -> None:
    bright = np.full((1, 1, 224, 224), 255, np.uint8)
    bright[:, :, 60:160, 40:180] = 255 - CHEST[:, :, 60:160, 40:180]

    class Dark(Template):
        def run(self, pixels: Pixels) -> Outputs:
            found = super().run(pixels)
            return Outputs(
                found.probabilities, found.logits, found.cam,
                pixels.mean((1, 2, 3), np.float32),
            )  # fmt: skip

    model = Dark(100.0)
    with pytest.raises(NotAChestXray) as refusal:
        refuse_unlike(model, bright, model.run(bright).one(LABEL_IDS))
    assert refusal.value.facts == {"reason": "inverted"}


class Compass(Template):
    """A model that finds every picture near, and turned as it is told."""

    def __init__(
        self, *orientation: float, least: float | None = 0.1, distance: float = 1e9
    ) -> None:
        super().__init__(distance)
        self.card = self.card.model_copy(update={"upright_threshold": least})
        self.orientation = np.array([orientation], np.float32)

    def run(self, pixels: Pixels) -> Outputs:
        return replace(super().run(pixels), orientation=self.orientation)


@pytest.mark.parametrize(
    ("orientation", "reason"),
    [
        ((0.05, 0.8, 0.05, 0.05, 0.05), "upside_down"),
        ((0.05, 0.05, 0.8, 0.05, 0.05), "sideways"),
        ((0.05, 0.05, 0.05, 0.8, 0.05), "sideways"),
        ((0.05, 0.05, 0.05, 0.05, 0.8), "inverted"),
    ],
)
def test_a_near_picture_that_is_turned_is_refused_for_it(
    orientation: tuple[float, ...], reason: str
) -> None:
    model = Compass(*orientation)
    with pytest.raises(NotAChestXray) as refusal:
        refuse_unlike(model, CHEST, model.run(CHEST).one(LABEL_IDS))
    assert refusal.value.facts == {"reason": reason}
    assert model.runs == 1


@pytest.mark.parametrize("model", [Compass(0.1, 0.9, 0, 0, 0), Compass(0, 1, 0, 0, 0, least=None)])
def test_what_may_be_upright_passes_and_a_card_without_that_threshold_asks_nothing(
    model: Compass,
) -> None:
    refuse_unlike(model, CHEST, model.run(CHEST).one(LABEL_IDS))


def test_a_card_without_a_threshold_refuses_nothing() -> None:
    assert look_at(255 - CHEST, None) == 1


def test_a_distance_that_is_no_number_is_refused() -> None:
    model = Template(10.0)
    nan = replace(model.run(CHEST), distance=np.array([np.nan], np.float32)).one(LABEL_IDS)
    with pytest.raises(NotAChestXray):
        refuse_unlike(model, CHEST, nan)


@pytest.mark.parametrize("reason", NotAChestXray.reasons)
def test_every_mend_says_what_to_do_in_both_languages(reason: str) -> None:
    error = NotAChestXray(reason=reason)
    assert "send it again" in error.detail("en")
    assert "envíela de nuevo" in error.detail("es")


def test_an_unknown_reason_says_what_to_check() -> None:
    assert "Check that the right file was sent" in NotAChestXray(reason="unknown").detail("en")
