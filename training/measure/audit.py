"""The audit of a graph: where its answers come from, and what changes them.

Shortcuts after DeGrave et al. 2021, "AI for radiographic COVID-19 detection selects shortcuts
over signal", and Maguolo and Nanni 2021; deletion after Petsiuk et al. 2018, "RISE".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.machine import count_cpus
from app.model.labels import LABEL_IDS, ORIENTATIONS, Orientation
from app.model.measured.figures import Audit, Changed, Deletion, Interval
from app.model.session import Network, Outputs
from training.data.images import ImageSet
from training.export.graph import expose_pooled
from training.measure import stress
from training.measure.evaluation import Refusal, run_core, run_network
from training.metrics.bootstrap import Weights, auroc, draw_patients, share
from training.metrics.intervals import (
    auroc_interval,
    combine,
    mean_interval,
    percentile_interval,
    rate_interval,
)

_NORMAL: Final = LABEL_IDS.index("normal")
_SHARES: Final = (0.0, 0.04, 0.08, 0.16, 0.24, 0.33, 0.49)
_MOST_DELETED_FROM: Final = 300
_PARTS: Final = 5


def audit_graph(
    graph: bytes, images: ImageSet, unchanged: Outputs, refusal: Refusal, seed: int = 0
) -> Audit:
    """Audit a graph that serving runs on one split.

    Parameters
    ----------
    unchanged : what it answered for `images` as they are, columns in the order of `LABEL_IDS`
    seed : of the bootstrap, the probe's parts and what is deleted at random
    """
    network = Network(graph, count_cpus())
    _, pooled = run_core(expose_pooled(graph), images.images)
    patients = [sample.patient for sample in images.samples]
    weights = draw_patients(images.labels, patients, seed)

    def ask(changed: NDArray[np.uint8], name: str) -> Changed:
        answers = run_network(network, changed, name.replace("_", " "))
        return _compare(
            images.labels, unchanged.probabilities, answers.probabilities, patients, weights
        )

    return Audit(
        changed={name: ask(stress.change(images.images, name), name) for name in stress.CHANGES},
        lungs_hidden=ask(stress.hide_lungs(images.images), "lungs_hidden"),
        lungs_only=ask(stress.hide_all_but_lungs(images.images), "lungs_only"),
        turned={
            orientation: _count_refused(network, images, orientation, refusal)
            for orientation in ORIENTATIONS[1:]
        },
        commonest=float(np.bincount(images.labels).max() / len(images.labels)),
        source_auroc=_probe_source(images, pooled, seed),
        deletion=_delete(network, images, unchanged, seed),
    )


def _count_refused(
    network: Network,
    images: ImageSet,
    orientation: Orientation,
    refusal: Refusal,
) -> Interval:
    answers = run_network(
        network, stress.turn(images.images, orientation), orientation.replace("_", " ")
    )
    patients = [sample.patient for sample in images.samples]
    return rate_interval(refusal.holds(answers), np.ones(len(images.labels), bool), patients)


def _compare(
    labels: NDArray[np.int64],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    patients: Sequence[str],
    weights: Weights,
) -> Changed:
    everything = np.ones(len(labels), dtype=bool)
    was, is_ = (rows.argmax(1) == labels for rows in (before, after))
    turned = (was & ~is_, is_ & ~was)  # wrong, right
    classes = np.unique(labels)
    areas = [auroc(labels == i, after[:, i], weights) for i in classes]
    ranked = [
        auroc_interval(labels == i, area, patients) for i, area in zip(classes, areas, strict=True)
    ]
    return Changed(
        accuracy=rate_interval(is_, everything, patients),
        lost=combine(
            [rate_interval(images, everything, patients) for images in turned],
            [1, -1],
            [share(images, everything, weights) for images in turned],
        ),
        macro_auroc=mean_interval(ranked, areas),
    )


def _probe_source(images: ImageSet, pooled: NDArray[np.float32], seed: int) -> Interval | None:
    """Tell the sources of normal images apart by a linear probe on the features.

    Fitted on four of five parts of the patients and asked about the fifth, in turn; the mean AUROC
    of each source against the rest. None if fewer than two sources have enough patients.
    """
    normal = images.labels == _NORMAL
    patients = np.array([sample.patient for sample in images.samples])[normal]
    named = np.array([sample.source for sample in images.samples])[normal]
    counts = [len(set(patients[named == source])) for source in sorted(set(named))]
    if len(counts) < 2 or min(counts) < _PARTS:  # noqa: PLR2004 - two to tell apart
        return None
    sources, truth = np.unique(named, return_inverse=True)
    parts = StratifiedGroupKFold(_PARTS, shuffle=True, random_state=seed)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    told = cross_val_predict(
        probe, pooled[normal], truth, groups=patients, cv=parts, method="predict_proba"
    )
    weights = draw_patients(truth, patients.tolist(), seed)
    areas = [auroc(truth == i, told[:, i], weights) for i in range(len(sources))]
    names = patients.tolist()
    ranked = [auroc_interval(truth == i, area, names) for i, area in enumerate(areas)]
    return mean_interval(ranked, areas)


def _delete(network: Network, images: ImageSet, unchanged: Outputs, seed: int) -> Deletion:
    """Delete cells of the map's grid, the most marked or any, and ask for the label called.

    A cell deleted takes the image's mean level. On at most 300 images, evenly taken.
    """
    count = len(images.labels)
    rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_DELETED_FROM)).astype(int))
    called = unchanged.probabilities[rows].argmax(1)
    maps = unchanged.cam[rows, called]
    cells = maps[0].size
    generator = np.random.default_rng(seed)
    ranks = {
        "marked": np.argsort(np.argsort(-maps.reshape(len(rows), cells), axis=1), axis=1),
        "random": np.stack([generator.permutation(cells) for _ in rows]),
    }
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ranks}
    for name, rank in ranks.items():
        for part in _SHARES:
            gone = (rank < round(part * cells)).reshape(maps.shape)
            answers = run_network(network, _blank(images.images[rows], gone), f"{name} {part:.0%}")
            kept[name].append(answers.probabilities[np.arange(len(rows)), called])
    curves = {name: np.stack(columns) for name, columns in kept.items()}
    gaps = (curves["random"] - curves["marked"]).mean(0)
    patients = [images.samples[row].patient for row in rows]
    weights = draw_patients(np.zeros(len(rows), np.int64), patients, seed)
    return Deletion(
        images=len(rows),
        shares=list(_SHARES),
        marked=curves["marked"].mean(1).tolist(),
        random=curves["random"].mean(1).tolist(),
        gap=percentile_interval(weights @ gaps / weights.sum(1)),
    )


def _blank(images: NDArray[np.uint8], gone: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill the cells that are `gone`, bool [N, rows, columns], with each image's mean level."""
    rows, columns = (
        np.arange(pixels) * cells // pixels
        for pixels, cells in zip(images.shape[2:], gone.shape[1:], strict=True)
    )
    mask = gone[:, np.newaxis, rows[:, np.newaxis], columns]
    means = images.mean((1, 2, 3), keepdims=True).round().astype(np.uint8)
    return np.where(mask, means, images)
