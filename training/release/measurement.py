"""What a card tells of a bundle's graphs: thresholds, and both splits measured at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.machine import count_cpus
from app.model.card import Certainty, Label
from app.model.labels import LabelId
from app.model.measured.figures import Audit, Metrics
from app.model.measured.reference import Reference
from app.model.session import Network, Outputs
from training.config import Config
from training.data.images import ImageSet
from training.data.splits import Splits
from training.export.calibration import (
    DISTANCE_ROOM,
    UPRIGHT_THRESHOLD,
    fit_distance_threshold,
    fit_operating_points,
)
from training.export.certainty import choose_certainty
from training.export.evidence import Evidence
from training.holdout.record import Record, limits_of, read_record
from training.measure.audit import audit_graph
from training.measure.evaluation import (
    Refusal,
    Rules,
    evaluate,
    in_our_order,
    predict_images,
    run_network,
)
from training.measure.predictions import Places, Predictions, join_predictions
from training.metrics.metrics import Probabilities
from training.metrics.reliability import can_calibrate
from training.release.film_reference import describe_films


@dataclass(frozen=True, slots=True)
class Measured:
    """What was chosen and measured.

    `predictions` are the answers for validation and test, `tested` the test's probabilities.
    There are no operating points, and no certainty, where validation is too small to choose them
    by and nothing was held out.
    """

    operating_points: dict[LabelId, float] | None
    certainty: Certainty | None
    refusal: Refusal
    metrics: dict[str, Metrics]
    audit: dict[str, Audit]
    tested: Probabilities
    predictions: Predictions
    reference: Reference
    held_out: Record | None

    def members(self) -> dict[str, Any]:
        """Return those members of a card that come from here, by name."""
        return {
            "operating_points": self.operating_points,
            "certainty": self.certainty,
            "distance_threshold": self.refusal.distance_threshold,
            "upright_threshold": self.refusal.upright_threshold,
            "metrics": self.metrics,
            "audit": self.audit,
            "reference": self.reference,
            "holdout": self.held_out.sources if self.held_out else {},
            "trade_off": self.held_out.trade_off if self.held_out else [],
        }


def measure_bundle(
    int8: bytes,
    fp32: bytes | None,
    splits: Splits,
    labels: Sequence[Label],
    seed: int,
    config: Config,
) -> Measured:
    """Choose what is `ok` and what is refused; measure both graphs.

    Operating points and certainty are those of the sources held out, if `config` names what was
    found there, and else chosen by the int8 graph on validation. How far validation's images lie
    is the graph's own; how much further out another hospital's do, is what was held out's.

    Parameters
    ----------
    int8, fp32 : graphs that serving runs; of the float32 one only figures are told, if there is one
    labels : of the graphs' columns, in their order
    seed : of the audit

    Raises
    ------
    HoldoutUnusable
        As `read_record` does.
    """
    held_out = read_record(config)

    def ask(graph: bytes, images: ImageSet, what: str) -> Outputs:
        outputs = run_network(Network(graph, count_cpus()), images.images, what)
        return in_our_order(outputs, labels)

    measured = {"validation": splits.validation, "test": splits.test}
    answers = {split: ask(int8, images, split) for split, images in measured.items()}
    validated = answers["validation"]
    points, certainty = (
        (held_out.operating_points, held_out.certainty)
        if held_out
        else _choose(validated.probabilities, splits.validation, config)
    )
    room = held_out.distance_factor if held_out else DISTANCE_ROOM
    refusal = Refusal(fit_distance_threshold(validated.distance, room), UPRIGHT_THRESHOLD)
    metrics = {}
    audit = {}
    for split, images in measured.items():
        metrics[split] = evaluate(answers[split], images, points, refusal, certainty)
        audit[split] = audit_graph(int8, images, answers[split], refusal, seed)
        if fp32:
            metrics[f"{split}_fp32"] = evaluate(ask(fp32, images, f"{split}, fp32"), images)
    rules, places = Rules(points, certainty, refusal), Places(config.data, config.root)
    predictions = [
        predict_images(answers[split], images, split, rules, places)
        for split, images in measured.items()
    ]
    tested = answers["test"].probabilities
    joined = join_predictions(predictions)
    lie = describe_films(validated)
    return Measured(points, certainty, refusal, metrics, audit, tested, joined, lie, held_out)


def _choose(
    probabilities: Probabilities, validation: ImageSet, config: Config
) -> tuple[dict[LabelId, float] | None, Certainty | None]:
    """Return operating points and certainty by validation, if it is large enough for both."""
    if not can_calibrate(validation.labels, validation.patients):
        return None, None
    points = fit_operating_points(probabilities, validation.labels)
    sources = [sample.source for sample in validation.samples]
    evidence = Evidence(
        probabilities=probabilities,
        targets=validation.targets > 0,
        sources=sources,
        patients=validation.patients,
        adult=~np.isin(sources, config.children),
    )
    return points, choose_certainty(evidence, points, "validation", limits_of(config))
