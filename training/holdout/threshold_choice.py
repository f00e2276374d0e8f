"""Temperature and thresholds from what networks answered for sources that they never saw."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from app.model.card import Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import TradeOff
from training.export.calibration import (
    fit_distance_factor,
    fit_even_temperature,
    fit_operating_points,
    fit_temperature,
)
from training.export.certainty import choose_certainty, trace_trade_off
from training.export.evidence import Evidence, Limits
from training.holdout.held_answers import HeldAnswers

Rows = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a release takes over.

    `from_validation` are the kinds (labels, sets, other) that no held-out source could speak for:
    their answers are those for patients of sources that were trained on. `images` were chosen on.
    """

    temperature: float
    operating_points: dict[LabelId, float]
    certainty: Certainty
    distance_factor: float
    trade_off: list[TradeOff]
    from_validation: list[str]
    images: int


def choose_thresholds(
    folds: Sequence[HeldAnswers],
    limits: Limits,
    children: Sequence[str],
    weak_sets: Sequence[str] = (),
    temperature: float | None = None,
    *,
    evenly: bool = True,
    collections: Sequence[str] = (),
) -> Choice:
    """Choose by the folds' answers together.

    Parameters
    ----------
    children : sources whose people are children: no healthy adults, nor adults with pneumonia
    weak_sets : sources whose sets nobody read a film for: `Evidence.weak`
    temperature : of the answers, None to choose it by them
    evenly : `Evidence.evenly`
    collections : as of `pool_rows`
    """
    rows, from_validation = pool_rows(folds, collections)

    def gather(name: str) -> NDArray[np.generic]:
        return np.stack([getattr(folds[fold], name)[row] for fold, row in rows])

    logits = gather("logits").astype(np.float32)
    targets = gather("targets").astype(bool)
    sources = [str(source) for source in gather("sources")]
    temperature = temperature or fit_even_temperature(logits, targets, sources)
    probabilities = cool(logits, temperature)
    single = targets.sum(1) == 1
    points = fit_operating_points(probabilities[single], targets[single].argmax(1))
    evidence = Evidence(
        probabilities=probabilities,
        targets=targets,
        sources=sources,
        patients=[str(patient) for patient in gather("patients")],
        adult=~np.isin(sources, list(children)),
        weak=np.isin(sources, list(weak_sets)) & (targets.sum(1) > 1),
        evenly=evenly,
    )
    certainty = choose_certainty(evidence, points, "held_out_sources", limits)
    return Choice(
        temperature=temperature,
        operating_points=points,
        certainty=certainty,
        distance_factor=fit_distance_factor(list_distances(folds)),
        trade_off=trace_trade_off(evidence, certainty.margin),
        from_validation=from_validation,
        images=len(rows),
    )


def cool_by_validation(fold: HeldAnswers) -> HeldAnswers:
    """Return a fold's answers at the temperature of its own validation: its logits over that.

    As a release does that takes its temperature from validation.
    """
    known = ~fold.held & (fold.targets.sum(1) == 1)
    temperature = fit_temperature(fold.logits[known], fold.targets[known].argmax(1))
    return replace(fold, logits=fold.logits / np.float32(temperature))


def pool_rows(
    folds: Sequence[HeldAnswers], collections: Sequence[str] = ()
) -> tuple[Rows, list[str]]:
    """Choose each image's answer: (fold, row) pairs, and the kinds that are validation's.

    Held-out images of what the fold's network was taught, by the first fold that holds them out.
    Of a kind that none of those shows, validation's images, each once, the folds taking turns; so
    of a collection, whatever its kinds: patients that are held out are other hospitals there.

    Parameters
    ----------
    collections : sources that are many hospitals' films, a few of each
    """
    rows: Rows = []
    seen: set[str] = set()
    kinds: set[Hashable] = set()
    for number, fold in enumerate(folds):
        for row in np.flatnonzero(fold.held & fold.learned & ~np.isin(fold.sources, collections)):
            if (path := str(fold.paths[row])) not in seen:
                seen.add(path)
                kinds.add(fold.targets[row].tobytes())
                rows.append((number, int(row)))
    answered: dict[str, Rows] = {}
    lacking: dict[Hashable, str] = {}
    for number, fold in enumerate(folds):
        for row in np.flatnonzero(~fold.held & fold.learned):
            kind = fold.targets[row].tobytes()
            collected = str(fold.sources[row]) in collections
            if kind not in kinds or collected:
                answered.setdefault(str(fold.paths[row]), []).append((number, int(row)))
            if kind not in kinds:
                lacking[kind] = name_kind(fold.targets[row])
    rows += [offers[turn % len(offers)] for turn, offers in enumerate(answered.values())]
    return rows, sorted(lacking.values())


def list_distances(
    folds: Sequence[HeldAnswers],
) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Return the distances of each held-out source, with those of its fold's validation."""
    return [
        (fold.distance[fold.held & (fold.sources == source)], fold.distance[~fold.held])
        for fold in folds
        for source in fold.without
    ]


def cool(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return probabilities, float32 [N, 4], as the graph makes them of logits."""
    return np.asarray(softmax(logits / np.float32(temperature), axis=1), np.float32)


def name_kind(target: NDArray[np.bool_]) -> str:
    """Name what an image shows by its labels, bool [4], as a manifest does: `a`, `a|b`, `other`."""
    return "|".join(label for label, own in zip(LABEL_IDS, target, strict=True) if own) or "other"
