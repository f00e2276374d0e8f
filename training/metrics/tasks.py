"""Figures of telling two kinds of images apart, on images of those two kinds only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.model.labels import LABEL_IDS
from app.model.measured.figures import Task
from training.metrics.bootstrap import Figures, auroc, draw_patients
from training.metrics.intervals import auroc_interval, rate_interval
from training.metrics.reliability import Labels, Probabilities, normalise

_NORMAL, _COVID, _BACTERIAL, _VIRAL = (
    LABEL_IDS.index("normal"),
    LABEL_IDS.index("covid19"),
    LABEL_IDS.index("bacterial_pneumonia"),
    LABEL_IDS.index("viral_pneumonia"),
)


def measure_tasks(
    labels: Labels,
    probabilities: Probabilities,
    patients: Sequence[str],
    sources: Sequence[str],
    seed: int = 0,
) -> dict[str, Task]:
    """Compute the two tasks of Kermany et al. 2018, and COVID-19 against each source's normals.

    Pneumonia against normal and bacterial against viral, on the images of those labels from
    every source that has all three; none, if no source has. The scores are ``1 - normal`` and
    viral's share of bacterial plus viral. COVID-19 of all sources is set against the normals of
    one, by its own probability: which normals they are decides how hard it is. What is above 0.5
    is called positive.
    """
    named = np.array(sources)
    wanted = [_NORMAL, _BACTERIAL, _VIRAL]
    complete = [
        source for source in set(sources) if set(wanted) <= set(labels[named == source].tolist())
    ]
    held = np.isin(named, complete) & np.isin(labels, wanted)
    sick = held & (labels != _NORMAL)
    exact = normalise(probabilities)
    viral_share = exact[:, _VIRAL] / np.maximum(exact[:, [_BACTERIAL, _VIRAL]].sum(1), 1e-12)
    parts = {
        "pneumonia_vs_normal": (held, labels != _NORMAL, 1 - exact[:, _NORMAL]),
        "viral_vs_bacterial": (sick, labels == _VIRAL, viral_share),
    }
    covid = labels == _COVID
    for source in sorted(set(named[labels == _NORMAL].tolist())):
        rows = covid | ((labels == _NORMAL) & (named == source))
        parts[f"covid19_vs_normal_of_{source}"] = rows, covid, exact[:, _COVID]
    names = np.array(patients)
    return {
        name: _measure_task(positive[rows], scores[rows], names[rows].tolist(), seed)
        for name, (rows, positive, scores) in parts.items()
        if len(np.unique(positive[rows])) == 2  # noqa: PLR2004 - both kinds are there
    }


def _measure_task(
    positive: NDArray[np.bool_], scores: Figures, patients: Sequence[str], seed: int
) -> Task:
    weights = draw_patients(positive.astype(np.int64), patients, seed)
    called = scores > 0.5  # noqa: PLR2004 - more likely than not
    return Task(
        images=len(positive),
        patients=len(set(patients)),
        auroc=auroc_interval(positive, auroc(positive, scores, weights), patients),
        accuracy=rate_interval(called == positive, np.ones_like(positive), patients),
        sensitivity=rate_interval(called, positive, patients),
        specificity=rate_interval(~called, ~positive, patients),
    )
