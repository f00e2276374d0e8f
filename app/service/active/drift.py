"""Drift: whether the films of a sliding window lie as those that the card was measured on did.

Each worker counts into bins of the card's reference, in memory that all share; the population
stability index is of the sums, and made when it is asked for.
"""

import mmap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.model.labels import LABEL_IDS
from app.model.measured.reference import MOST_BINS, Reference, stability_index
from app.model.session import ImageOutputs

_SLOTS: Final = 48  # the window moves on by this share of itself
_CELL_BYTES: Final = 8
_MODEL_CELLS: Final = 2 * MOST_BINS + len(LABEL_IDS)
_CONFIDENCE: Final = MOST_BINS  # where the bins of each begin; those of distance at 0
_LABELS: Final = 2 * MOST_BINS


class DriftWindow:
    """Counts of each worker and slot of time, shared with the processes forked after it was made.

    A worker's row outlives it: its successor counts on. Each row has one writer.

    Parameters
    ----------
    now_s : seconds that all processes of the machine count alike
    """

    def __init__(
        self,
        workers: int,
        models: int,
        window_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._slot_s = window_s / _SLOTS
        self._now_s = now_s
        self._slot_cells = 1 + models * _MODEL_CELLS
        size = workers * _SLOTS * self._slot_cells * _CELL_BYTES
        self._cells = memoryview(mmap.mmap(-1, size)).cast("q")

    def count(self, row: int, place: int, reference: Reference, outputs: ImageOutputs) -> None:
        """Count one film in a worker's row.

        Parameters
        ----------
        place : of the model that read it
        reference : of its card
        """
        probabilities = outputs.probabilities
        label = max(probabilities, key=probabilities.__getitem__)
        begin = self._slot(row) + 1 + place * _MODEL_CELLS
        for at in (
            reference.distance.bin_of(outputs.distance),
            _CONFIDENCE + reference.confidence.bin_of(probabilities[label]),
            _LABELS + LABEL_IDS.index(label),
        ):
            self._cells[begin + at] += 1

    def sums(self, place: int) -> list[int]:
        """Return a model's counts within the window, of all workers."""
        newest = self._number()
        sums = [0] * _MODEL_CELLS
        for slot in range(self._workers * _SLOTS):
            begin = slot * self._slot_cells
            if newest - self._cells[begin] < _SLOTS:
                first = begin + 1 + place * _MODEL_CELLS
                for at, count in enumerate(self._cells[first : first + _MODEL_CELLS]):
                    sums[at] += count
        return sums

    def _number(self) -> int:
        """Return the number of the slot that counts now; from `_SLOTS` on, so no 0 is recent."""
        return _SLOTS + int(self._now_s() / self._slot_s)

    def _slot(self, row: int) -> int:
        number = self._number()
        begin = (row * _SLOTS + number % _SLOTS) * self._slot_cells
        if self._cells[begin] != number:  # it is from the last time round
            for at in range(begin + 1, begin + self._slot_cells):
                self._cells[at] = 0
            self._cells[begin] = number
        return begin


class DriftCollector(Collector):
    """The window's figures, for Prometheus.

    Parameters
    ----------
    references : the models' names and their cards' references, by place; None where there is none
    least_films : of fewer no index is told
    """

    def __init__(
        self,
        window: DriftWindow,
        references: Callable[[], Sequence[tuple[str, Reference | None]]],
        least_films: int,
    ) -> None:
        self._window = window
        self._references = references
        self._least_films = least_films

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Work out the indexes of every model that read films within the window."""
        films = GaugeMetricFamily(
            "neumo_drift_films", "Films within the window of drift, by model.", labels=["model"]
        )
        psi = GaugeMetricFamily(
            "neumo_drift_psi",
            "Population stability index of the window's films against the card's reference, by "
            "what is compared: distance, confidence, labels. Over 0.25 is a large shift.",
            labels=["model", "of"],
        )
        for place, (name, reference) in enumerate(self._references()):
            if reference is None:
                continue
            sums = self._window.sums(place)
            count = sum(sums[_LABELS:])
            films.add_metric([name], count)
            if count < self._least_films:
                continue
            for of, expected, begin in (
                ("distance", reference.distance.counts, 0),
                ("confidence", reference.confidence.counts, _CONFIDENCE),
                ("labels", [reference.labels[label] for label in LABEL_IDS], _LABELS),
            ):
                found = sums[begin : begin + len(expected)]
                psi.add_metric([name, of], stability_index(expected, found))
        yield films
        yield psi
