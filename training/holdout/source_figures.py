"""What each source's images got from the network that was trained without it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.model.labels import LABEL_IDS
from app.model.measured.figures import HeldOut, Interval
from training.export.calibration import fit_distance_threshold
from training.export.evidence import find_wrong
from training.holdout.held_answers import HeldAnswers
from training.holdout.threshold_choice import Choice, cool, name_kind
from training.metrics.bootstrap import auroc, draw_patients
from training.metrics.doubt import find_answered
from training.metrics.intervals import auroc_interval, rate_interval
from training.metrics.reliability import expected_calibration_error

Mask = NDArray[np.bool_]

_NORMAL: Final = LABEL_IDS.index("normal")
_COVID: Final = LABEL_IDS.index("covid19")
_SURE: Final = 0.9
SEEN: Final = " (seen)"
"""Behind the name of a source that the network was trained on: its validation patients'."""


def measure_sources(folds: Sequence[HeldAnswers], choice: Choice) -> dict[str, HeldOut]:
    """Measure every held-out source at the thresholds chosen.

    By the source's name; of one that several folds hold out also by what else they do.
    """
    found: dict[str, HeldOut] = {}
    for fold in folds:
        for source in fold.without.tolist():
            name = source if source not in found else f"{source}, without {'+'.join(fold.without)}"
            found[name] = _measure_source(fold, source, choice)
    return found


def _measure_source(fold: HeldAnswers, source: str, choice: Choice) -> HeldOut:
    own = fold.held & (fold.sources == source)
    patients = fold.patients.tolist()
    probabilities = cool(fold.logits, choice.temperature)
    called = probabilities.argmax(1)
    ok = find_answered(probabilities, choice.operating_points, choice.certainty)
    assert ok is not None  # noqa: S101 - there is a certainty
    right = ~find_wrong(called, fold.targets)
    threshold = fit_distance_threshold(fold.distance[~fold.held], choice.distance_factor)
    kinds: dict[str, Mask] = {}
    for target in np.unique(fold.targets[own], axis=0)[::-1]:
        kinds[name_kind(target)] = own & (fold.targets == target).all(1)

    def rates(part: Mask) -> dict[str, Interval]:
        return {name: rate_interval(part, rows, patients) for name, rows in kinds.items()}

    single = own & fold.learned & (fold.targets.sum(1) == 1)
    labels = fold.targets[single].argmax(1)
    nll = -np.log(np.maximum(probabilities[single, labels], 1e-12)) if single.any() else None
    return HeldOut(
        without=fold.without.tolist(),
        untaught=[name for name, rows in kinds.items() if not fold.learned[rows].any()],
        images={name: int(rows.sum()) for name, rows in kinds.items()},
        patients=len(set(fold.patients[own].tolist())),
        called_covid19=rates(called == _COVID),
        sure_covid19=rates(probabilities[:, _COVID] > _SURE),
        ok_covid19=rates(ok & (called == _COVID)),
        ok_right=rates(ok & right),
        wrong=rate_interval(~right, ok & own, patients) if (ok & own).any() else None,
        auroc=dict(_measure_pairs(fold, own, probabilities[:, _COVID])),
        nll=None if nll is None else float(nll.mean()),
        ece=None if nll is None else expected_calibration_error(labels, probabilities[single]),
        refused=rate_interval(fold.distance.astype(np.float64) > threshold, own, patients),
    )


def _measure_pairs(
    fold: HeldAnswers, own: Mask, scores: NDArray[np.float32]
) -> Iterator[tuple[str, Interval]]:
    """Yield the AUROC of each pair."""
    for name, sick, well in list_pairs(fold, own):
        rows = sick | well
        names = fold.patients[rows].tolist()
        weights = draw_patients(sick[rows].astype(np.int64), names, seed=0)
        yield name, auroc_interval(sick[rows], auroc(sick[rows], scores[rows], weights), names)


def list_pairs(fold: HeldAnswers, own: Mask) -> Iterator[tuple[str, Mask, Mask]]:
    """Yield COVID-19 against normal, one of them this source's, the other of each other source.

    Parameters
    ----------
    own : the source's images, bool [N]
    """
    covid, normal = (
        fold.targets[:, label] & (fold.targets.sum(1) == 1) for label in (_COVID, _NORMAL)
    )
    others: Mapping[str, Mask] = {
        name: ~own & (fold.sources == source) & (fold.held == held)
        for source in sorted(set(fold.sources.tolist()))
        for held, name in ((True, source), (False, source + SEEN))
    }
    pairs = {"itself": (own & covid, own & normal)}
    for name, rows in others.items():
        pairs[f"normal of {name}"] = own & covid, rows & normal
        pairs[f"COVID-19 of {name}"] = rows & covid, own & normal
    for name, (sick, well) in pairs.items():
        if sick.any() and well.any():
            yield name, sick, well
