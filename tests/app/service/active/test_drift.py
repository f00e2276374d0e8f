"""app.service.active.drift: counts of all workers in a window that moves, and their index."""

import numpy as np
import pytest
from prometheus_client.core import Metric

from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.reference import Histogram, Reference, stability_index
from app.model.session import ImageOutputs
from app.service.active.drift import DriftCollector, DriftWindow

REFERENCE = Reference(
    images=100,
    distance=Histogram(edges=[1.0, 2.0], counts=[50, 30, 20]),
    confidence=Histogram(edges=[0.5, 0.9], counts=[10, 30, 60]),
    labels={"normal": 40, "covid19": 20, "bacterial_pneumonia": 20, "viral_pneumonia": 20},
)
WINDOW_S = 480.0


class Clock:
    """Seconds that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def film(label: LabelId = "normal", share: float = 0.7, distance: float = 0.5) -> ImageOutputs:
    """Return what a network gave for a film."""
    rest = (1 - share) / 3
    return ImageOutputs(
        probabilities={each: share if each == label else rest for each in LABEL_IDS},
        logits=dict.fromkeys(LABEL_IDS, 0.0),
        cam={each: np.zeros((1, 1), np.float32) for each in LABEL_IDS},
        distance=distance,
        orientation=None,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def window(clock: Clock) -> DriftWindow:
    return DriftWindow(2, 2, WINDOW_S, clock)


def collect(window: DriftWindow, least_films: int = 1) -> dict[tuple[str, ...], float]:
    """Return each series' value by its name and labels."""
    collector = DriftCollector(
        window, lambda: [("neumo-a-1", REFERENCE), ("neumo-b-1", None)], least_films
    )
    families: list[Metric] = list(collector.collect())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_film_counts_once_in_each_of_what_is_compared(window: DriftWindow) -> None:
    window.count(0, 0, REFERENCE, film("covid19", 0.95, 2.5))
    sums = window.sums(0)
    assert {at for at, count in enumerate(sums) if count} == {2, 32 + 2, 64 + 1}
    assert sum(sums) == 3
    assert sum(window.sums(1)) == 0


def test_what_all_workers_counted_is_one_population(window: DriftWindow) -> None:
    for row in (0, 0, 1):
        window.count(row, 0, REFERENCE, film(distance=0.5))
    window.count(1, 0, REFERENCE, film("viral_pneumonia", 0.95, 1.5))
    told = collect(window)
    assert told["neumo_drift_films", "neumo-a-1"] == 4
    assert told["neumo_drift_psi", "neumo-a-1", "distance"] == pytest.approx(
        stability_index([50, 30, 20], [3, 1, 0])
    )
    assert told["neumo_drift_psi", "neumo-a-1", "confidence"] == pytest.approx(
        stability_index([10, 30, 60], [0, 3, 1])
    )
    assert told["neumo_drift_psi", "neumo-a-1", "labels"] == pytest.approx(
        stability_index([40, 20, 20, 20], [3, 0, 0, 1])
    )


def test_films_leave_the_window_as_it_moves_on(window: DriftWindow, clock: Clock) -> None:
    window.count(0, 0, REFERENCE, film())
    clock.now_s += WINDOW_S / 2
    window.count(0, 0, REFERENCE, film())
    assert sum(window.sums(0)) == 6
    clock.now_s += WINDOW_S / 2
    assert sum(window.sums(0)) == 3
    clock.now_s += WINDOW_S / 2
    assert sum(window.sums(0)) == 0


def test_a_slot_that_comes_round_again_begins_with_none(window: DriftWindow, clock: Clock) -> None:
    window.count(0, 0, REFERENCE, film())
    clock.now_s += WINDOW_S
    window.count(0, 0, REFERENCE, film())
    assert sum(window.sums(0)) == 3


def test_a_machine_that_has_just_started_counts_too() -> None:
    clock = Clock()
    clock.now_s = 0.0
    window = DriftWindow(1, 1, WINDOW_S, clock)
    assert sum(window.sums(0)) == 0
    window.count(0, 0, REFERENCE, film())
    assert sum(window.sums(0)) == 3


def test_of_too_few_films_no_index_is_told(window: DriftWindow) -> None:
    window.count(0, 0, REFERENCE, film())
    assert collect(window, least_films=2) == {("neumo_drift_films", "neumo-a-1"): 1}


def test_the_very_population_is_no_drift_and_another_is(window: DriftWindow) -> None:
    def count(many: int, label: LabelId, share: float, distance: float) -> None:
        for _ in range(many):
            window.count(0, 0, REFERENCE, film(label, share, distance))

    for many, distance in ((50, 0.5), (30, 1.5), (20, 2.5)):
        count(many, "normal", 0.95, distance)
    told = collect(window)
    assert told["neumo_drift_psi", "neumo-a-1", "distance"] == pytest.approx(0, abs=1e-3)
    assert told["neumo_drift_psi", "neumo-a-1", "labels"] > 0.25
    count(200, "normal", 0.95, 2.5)
    assert collect(window)["neumo_drift_psi", "neumo-a-1", "distance"] > 0.25
