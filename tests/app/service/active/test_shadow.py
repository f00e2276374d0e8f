"""app.service.active.shadow: what it reads, when, and what is told of it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from app.image.grey_image import Limits
from app.model.session import Outputs, Pixels
from app.reading.population import NOBODY
from app.reading.reader import Film, Reader
from app.service.active import shadow as module
from app.service.active.shadow import Comparison, Lost, Shadow
from tests.apps import wait_until
from tests.models import FakeModel

SURE_NORMAL = (0.97, 0.01, 0.01, 0.01)
SURE_COVID = (0.01, 0.97, 0.01, 0.01)
POINTS = {
    "operating_points": dict.fromkeys(
        ("normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"), 0.5
    )
}
"""Of a card, so that a probability over a half is `ok`."""


@dataclass
class Counted:
    """What was counted."""

    comparisons: list[Comparison] = field(default_factory=list)
    unread: list[Lost] = field(default_factory=list)

    def count_comparison(self, comparison: Comparison) -> None:
        self.comparisons.append(comparison)

    def count_unread(self, reason: Lost) -> None:
        self.unread.append(reason)

    @property
    def all(self) -> int:
        return len(self.comparisons) + len(self.unread)


class Far(FakeModel):
    """A model to which every picture is too far from what it knows."""

    def __init__(self) -> None:
        super().__init__(SURE_COVID, card=POINTS | {"distance_threshold": 1.0})

    def run(self, pixels: Pixels) -> Outputs:
        outputs = super().run(pixels)
        count = len(pixels)
        return Outputs(
            np.repeat(outputs.probabilities, count, 0),
            np.repeat(outputs.logits, count, 0),
            np.repeat(outputs.cam, count, 0),
            np.full(count, 9.0, np.float32),
        )


class Bench:
    """A shadow beside an active model that is sure of normal."""

    def __init__(self, model: FakeModel) -> None:
        self.counted, self.told = Counted(), list[Comparison]()
        self.idle = True
        self.active = Reader(FakeModel(SURE_NORMAL, card=POINTS), Limits())
        self.shadow = Shadow(
            Reader(model, Limits()), lambda: self.idle, self.counted, (self.told.append,)
        )

    def offer(self, *, refused: bool = False, request_id: str = "r1") -> None:
        """Offer a film that the active model was shown."""
        shown: list[Film] = []
        pixels = np.zeros((1, 1, 224, 224), np.uint8)
        outputs = self.active.model.run(pixels).one(
            [label.id for label in self.active.model.card.labels]
        )
        judgement = self.active.read_again(Film(pixels, NOBODY, outputs), shown.append)
        self.shadow.offer(
            shown[0], self.active.model.card, None if refused else judgement, request_id
        )


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    benches: list[Bench] = []
    yield benches
    for bench in benches:
        bench.shadow.stop()


def open_bench(benches: list[Bench], model: FakeModel) -> Bench:
    benches.append(Bench(model))
    return benches[-1]


def test_two_that_say_the_same_agree(benches: list[Bench]) -> None:
    bench = open_bench(benches, FakeModel((0.9, 0.05, 0.03, 0.02), card=POINTS))
    bench.offer()
    wait_until(lambda: bench.counted.all == 1)
    (comparison,) = bench.told
    assert (comparison.same_label, comparison.same_status) == (True, True)
    assert comparison.difference == pytest.approx(0.07, abs=1e-6)
    assert comparison.request_id == "r1"
    assert bench.counted.comparisons == [comparison]


def test_another_label_is_told_with_both_sides(benches: list[Bench]) -> None:
    bench = open_bench(benches, FakeModel(SURE_COVID, card=POINTS))
    bench.offer()
    wait_until(lambda: bench.counted.all == 1)
    (comparison,) = bench.told
    assert (comparison.answered.label, comparison.along.label) == ("normal", "covid19")
    assert (comparison.same_label, comparison.same_status) == (False, True)
    assert comparison.difference == pytest.approx(0.96, abs=1e-6)


def test_an_answer_that_is_uncertain_is_another_status(benches: list[Bench]) -> None:
    bench = open_bench(benches, FakeModel((0.4, 0.2, 0.2, 0.2), card=POINTS))
    bench.offer()
    wait_until(lambda: bench.counted.all == 1)
    assert (bench.told[0].same_label, bench.told[0].same_status) == (True, False)
    assert bench.told[0].along.status == "uncertain"


@pytest.mark.parametrize(("refused", "same"), [(True, True), (False, False)])
def test_to_refuse_a_film_is_an_answer_too(benches: list[Bench], refused: bool, same: bool) -> None:
    bench = open_bench(benches, Far())
    bench.offer(refused=refused)
    wait_until(lambda: bench.counted.all == 1)
    assert bench.told[0].along.status == "refused"
    assert (bench.told[0].same_label, bench.told[0].same_status) == (same, same)


def test_it_reads_only_while_nothing_else_is_to_be_read(benches: list[Bench]) -> None:
    model = FakeModel(SURE_NORMAL, card=POINTS)
    bench = open_bench(benches, model)
    bench.idle = False
    bench.offer()
    threading.Event().wait(0.1)
    assert model.seen == []
    bench.idle = True
    wait_until(lambda: bench.counted.all == 1)
    assert bench.counted.unread == []


def test_under_load_what_waits_too_long_is_dropped(
    benches: list[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_AGE_S", 0.05)
    bench = open_bench(benches, FakeModel(SURE_NORMAL, card=POINTS))
    bench.idle = False
    bench.offer()
    wait_until(lambda: bench.counted.all == 1)
    assert bench.counted.unread == ["busy"]


def test_no_more_wait_than_there_is_room_for(
    benches: list[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 3)
    bench = open_bench(benches, FakeModel(SURE_NORMAL, card=POINTS))
    bench.idle = False
    for _ in range(5):
        bench.offer()
    assert bench.counted.unread == ["queue_full"] * 2


def test_the_active_model_is_not_compared_with_itself(benches: list[Bench]) -> None:
    model = FakeModel(SURE_NORMAL, card=POINTS)
    bench = open_bench(benches, model)
    bench.active = bench.shadow.reader
    bench.offer()
    bench.active = Reader(FakeModel(SURE_NORMAL, card=POINTS), Limits())
    bench.offer(request_id="r2")
    wait_until(lambda: bench.counted.all == 1)
    assert [each.request_id for each in bench.told] == ["r2"]


def test_a_film_that_it_can_not_read_costs_nobody_anything(benches: list[Bench]) -> None:
    class Broken(FakeModel):
        def run(self, pixels: Pixels) -> Outputs:
            raise RuntimeError(f"broken by {len(pixels)}")

    bench = open_bench(benches, Broken(SURE_NORMAL, card=POINTS))
    bench.offer()
    bench.offer()
    wait_until(lambda: bench.counted.all == 2)
    assert bench.counted.unread == ["failed", "failed"]


def test_it_stops_with_films_that_wait() -> None:
    bench = Bench(FakeModel(SURE_NORMAL, card=POINTS))
    bench.idle = False
    bench.offer()
    bench.shadow.stop()
    assert bench.counted.all == 0
