"""Measuring a graph through ONNX Runtime: what is served is what is measured."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from scipy.special import softmax

from app.machine import count_cpus
from app.model.bundle import Bundle
from app.model.card import Card, Certainty, Label
from app.model.labels import LabelId
from app.model.measured.figures import Metrics
from app.model.session import Network, Outputs
from training.config import LABELS
from training.data.images import ImageSet
from training.data.manifest import DataSets, read_samples
from training.data.splits import load_set
from training.files import write_whole
from training.measure.predictions import (
    PREDICTIONS_FILE,
    Places,
    Predictions,
    join_predictions,
    tell_statuses,
    write_predictions,
)
from training.meter import track
from training.metrics.doubt import find_answered
from training.metrics.metrics import measure
from training.report import plots

_BATCH: Final = 32


def run_network(network: Network, images: NDArray[np.uint8], what: str) -> Outputs:
    """Run images, uint8 [N, 1, 224, 224], one at a time as serving does."""
    parts = [
        network.run(images[index : index + 1])
        for index in track(range(len(images)), f"measuring {what}", "image")
    ]
    return Outputs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("probabilities", "logits", "cam", "distance", "orientation")
            if getattr(parts[0], name) is not None
        )
    )


def run_core(
    model: onnx.ModelProto, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cam [N, 4, rows, columns] and pooled [N, 512] of a graph that gives both."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = count_cpus()
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    starts = track(range(0, len(images), _BATCH), "taking features", "batch")
    parts = [
        session.run(["cam", "pooled"], {"image": images[start : start + _BATCH]})
        for start in starts
    ]
    cam, pooled = (np.concatenate(column) for column in zip(*parts, strict=True))
    return cam, pooled


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is refused as no upright frontal chest X-ray; as `app.reading.refusal` does."""

    distance_threshold: float | None
    upright_threshold: float | None

    def holds(self, outputs: Outputs) -> NDArray[np.bool_]:
        """Return whether each of N pictures is refused, bool [N]."""
        # In float64, as serving compares: a threshold may lie between two float32.
        refused = np.zeros(len(outputs.distance), dtype=bool)
        if self.distance_threshold is not None:
            refused |= outputs.distance.astype(np.float64) > self.distance_threshold
        if self.upright_threshold is not None and outputs.orientation is not None:
            refused |= outputs.orientation[:, 0].astype(np.float64) < self.upright_threshold
        return refused


def evaluate(
    outputs: Outputs,
    images: ImageSet,
    operating_points: Mapping[LabelId, float] | None = None,
    refusal: Refusal | None = None,
    certainty: Certainty | None = None,
) -> Metrics:
    """Compute the card's figures of one split from what a network answered for it."""
    return measure(
        images.labels,
        outputs.probabilities,
        [sample.patient for sample in images.samples],
        [sample.source for sample in images.samples],
        operating_points=operating_points,
        certainty=certainty,
        refused=None if refusal is None else refusal.holds(outputs),
        uncalibrated=softmax(outputs.logits, axis=1),
    )


def in_our_order(outputs: Outputs, labels: Sequence[Label]) -> Outputs:
    """Put the columns of a bundle, which are in the order of its `labels`, into `LABELS`'."""
    columns = [[own.id for own in labels].index(label.id) for label in LABELS]
    return replace(
        outputs,
        probabilities=outputs.probabilities[:, columns],
        logits=outputs.logits[:, columns],
        cam=outputs.cam[:, columns],
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an answer `ok`, and what is refused: members as of a card."""

    operating_points: Mapping[LabelId, float] | None
    certainty: Certainty | None
    refusal: Refusal


def card_rules(card: Card) -> Rules:
    """Return the rules of a bundle."""
    refusal = Refusal(card.distance_threshold, card.upright_threshold)
    return Rules(card.operating_points, card.certainty, refusal)


def predict_images(
    outputs: Outputs, images: ImageSet, split: str, rules: Rules, places: Places
) -> Predictions:
    """Write down what a network answered for images, columns in the order of `LABELS`."""
    found = [places.find(sample) for sample in images.samples]
    answered = find_answered(outputs.probabilities, rules.operating_points, rules.certainty)
    return Predictions(
        data_sets=np.array([name for name, _ in found], np.str_),
        paths=np.array([path for _, path in found], np.str_),
        splits=np.full(len(found), split),
        sources=np.array([sample.source for sample in images.samples], np.str_),
        labels=np.array([sample.named for sample in images.samples], np.str_),
        patients=np.array(images.patients, np.str_),
        probabilities=outputs.probabilities,
        logits=outputs.logits,
        distance=outputs.distance,
        statuses=tell_statuses(rules.refusal.holds(outputs), answered),
    )


@dataclass(frozen=True, slots=True)
class Apart:
    """What a network answered for images whose label is a set, or other: no figure is of them.

    Parameters
    ----------
    images : how many there are
    called : how often each label was the most likely
    within : share of the images called by a label of the set, of none of other findings
    """

    images: int
    called: dict[LabelId, int]
    within: float


def measure_apart(probabilities: NDArray[np.float32], images: ImageSet) -> dict[str, Apart]:
    """Count what was called, by label (sets and ``other``) and source: "a|b/source"."""
    called = probabilities.argmax(1)
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(images.samples):
        rows[f"{sample.named}/{sample.source}"].append(row)
    inside = images.targets[np.arange(len(called)), called]
    return {
        name: Apart(
            images=len(own),
            called={
                label.id: int((called[own] == index).sum()) for index, label in enumerate(LABELS)
            },
            within=float(inside[own].mean()),
        )
        for name, own in sorted(rows.items())
    }


def describe_apart(apart: Mapping[str, Apart]) -> str:
    """Write out what was measured apart, a line each; nothing if there was nothing."""
    lines = [
        f"  {name}: {told.images} image(s), in none of the figures above; called "
        + ", ".join(f"{label} {count}" for label, count in told.called.items())
        for name, told in apart.items()
    ]
    return "".join(f"{line}\n" for line in lines)


def evaluate_bundle(
    bundle: Bundle,
    data: DataSets,
    split: str,
    report: Path,
    patient_pattern: str | None = None,
    root: Path | None = None,
) -> tuple[Metrics, dict[str, Apart]]:
    """Measure a bundle on one split of data sets; write figures, answers and plots.

    ``evaluation.json``, ``predictions.csv`` and those of `plots.PLOTS`, into a folder.

    A pattern and a root are as of `read_samples`. The figures are of images that have one label
    each; the others are counted apart.

    Raises
    ------
    DataError
        If a data set can't be read, or a label has no image in the split.
    """
    every = read_samples(data, (split,), patient_pattern, root)
    samples = [sample for sample in every if sample.split == split]
    single, others = (
        [sample for sample in samples if (sample.label is not None) == one] for one in (True, False)
    )
    images = load_set(single, split)
    network = Network(bundle.graph, count_cpus())
    card = bundle.card
    outputs = in_our_order(run_network(network, images.images, split), card.labels)
    rules = card_rules(card)
    metrics = evaluate(outputs, images, rules.operating_points, rules.refusal, rules.certainty)
    places = Places(data, root)
    told = [predict_images(outputs, images, split, rules, places)]
    apart = {}
    if others:
        what = "sets and other findings"
        beside = load_set(others, what)
        answers = in_our_order(run_network(network, beside.images, what), card.labels)
        apart = measure_apart(answers.probabilities, beside)
        told.append(predict_images(answers, beside, split, rules, places))
    report.mkdir(parents=True, exist_ok=True)
    whole = {
        "model": {"name": bundle.card.name, "sha256": bundle.card.sha256},
        "split": split,
        "metrics": metrics.model_dump(),
    } | ({"apart": {name: asdict(told) for name, told in apart.items()}} if apart else {})
    write_whole(report / "evaluation.json", (json.dumps(whole, indent=1) + "\n").encode())
    write_predictions(report / PREDICTIONS_FILE, join_predictions(told))
    plots.plot_all(images.labels, outputs.probabilities, metrics, split, report)
    return metrics, apart
