"""A model asked about one split, for a report: through a bundle's graph, or a run's checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from app.machine import count_cpus
from app.model.bundle import Bundle
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.measured.figures import Metrics
from app.model.session import Network
from training.config import Config
from training.data.images import ImageSet, shrink
from training.data.manifest import read_samples
from training.data.splits import divide_data, load_set
from training.fit.inference import predict_with_maps
from training.fit.sampling import shift_to_priors
from training.fit.trainer import load_best
from training.measure.evaluation import (
    card_rules,
    in_our_order,
    predict_images,
    run_network,
)
from training.measure.predictions import Places, Predictions, read_predictions
from training.metrics.metrics import measure
from training.release.remeasure import divide_again

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model answered for the images of one split that have one label each.

    Parameters
    ----------
    how : what was asked, in words
    images, maps : the images and class activation maps, [N, 4, rows, columns]; None of answers
        that were read back
    """

    split: str
    how: str
    predictions: Predictions
    figures: Metrics
    images: ImageSet | None = None
    maps: Maps | None = None


def ask_bundle(
    bundle: Bundle, data: Sequence[Path], split: str, pattern: str | None, root: Path | None
) -> Asked:
    """Ask a bundle's graph, through ONNX Runtime as serving does.

    Validation is what its training held out: of data that it was fitted to by its card, of others
    as the settings' defaults divide them.
    """
    card = bundle.card
    if split == "validation":
        told: dict[str, object] = {"name": "report-1", "data": list(data)}
        given = {"root": root, "patient_pattern": pattern}
        told |= {name: value for name, value in given.items() if value is not None}
        chosen = divide_again(Config.model_validate(told), card).validation
    else:
        read = read_samples(data, (split,), pattern, root)
        chosen = [sample for sample in read if sample.split == split]
    samples = [sample for sample in chosen if sample.label is not None]
    images = load_set(samples, split)
    outputs = in_our_order(
        run_network(Network(bundle.graph, count_cpus()), images.images, split), card.labels
    )
    predictions = predict_images(outputs, images, split, card_rules(card), Places(data, root))
    how = f"the bundle's int8 graph ({card.name}), through ONNX Runtime"
    return Asked(split, how, predictions, _measure(predictions, card), images, outputs.cam)


def ask_checkpoint(config: Config, split: str) -> Asked:
    """Ask the network of a run that has no bundle yet, at the priors of the run.

    In PyTorch: no temperature, no rule for `ok`, no distance, so nothing is refused or withheld.
    """
    division = divide_data(config)
    chosen = division.validation if split == "validation" else division.test
    images = load_set([sample for sample in chosen if sample.label is not None], split)
    model = load_best(config)
    logits, maps = predict_with_maps(model, shrink(images.images, config.side_px), config)
    logits = logits + shift_to_priors(division.fit, config)
    places = Places(config.data, config.root)
    found = [places.find(sample) for sample in images.samples]
    predictions = Predictions(
        data_sets=np.array([name for name, _ in found], np.str_),
        paths=np.array([path for _, path in found], np.str_),
        splits=np.full(len(found), split),
        sources=np.array([sample.source for sample in images.samples], np.str_),
        labels=np.array([sample.named for sample in images.samples], np.str_),
        patients=np.array(images.patients, np.str_),
        probabilities=softmax(logits, axis=1).astype(np.float32),
        logits=logits.astype(np.float32),
        distance=np.full(len(found), np.nan, np.float32),
        statuses=np.full(len(found), ""),
    )
    how = "the run's checkpoint in PyTorch, before export: not calibrated, nothing withheld"
    return Asked(split, how, predictions, _measure(predictions), images, maps)


def read_back(path: Path, card: Card, split: str) -> Asked | None:
    """Return what a release wrote down, if it is of this bundle: its card's figures tell.

    None if there is nothing, or of another.
    """
    if not path.is_file() or split not in card.metrics:
        return None
    told = read_predictions(path)
    rows = told.take((told.splits == split) & (told.truths >= 0))
    if set(rows.truths.tolist()) != set(range(len(LABEL_IDS))):
        return None
    figures = _measure(rows, card)
    if figures.confusion != card.metrics[split].confusion:
        return None
    return Asked(split, f"answers that the release of {card.name} wrote down", rows, figures)


def _measure(predictions: Predictions, card: Card | None = None) -> Metrics:
    return measure(
        predictions.truths,
        predictions.probabilities,
        predictions.patients.tolist(),
        predictions.sources.tolist(),
        operating_points=card.operating_points if card else None,
        certainty=card.certainty if card else None,
        refused=predictions.statuses == "refused" if card else None,
        uncalibrated=softmax(predictions.logits, axis=1) if card else None,
    )
