"""What a card tells of a bundle's graphs: thresholds chosen on validation, both splits measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.machine import count_cpus
from app.model.card import Label
from app.model.figures import Audit, Metrics
from app.model.labels import LabelId
from app.model.session import Network, Outputs
from training.data.images import ImageSet
from training.data.splits import Splits
from training.export.calibration import (
    UPRIGHT_THRESHOLD,
    fit_distance_threshold,
    fit_operating_points,
)
from training.measure.audit import audit_graph
from training.measure.evaluation import Refusal, evaluate, in_our_order, run_network
from training.metrics.metrics import Probabilities
from training.metrics.reliability import can_calibrate


@dataclass(frozen=True, slots=True)
class Measured:
    """What was chosen and measured; `tested` are the probabilities of the test split.

    There are no operating points where validation is too small to choose them by.
    """

    operating_points: dict[LabelId, float] | None
    refusal: Refusal
    metrics: dict[str, Metrics]
    audit: dict[str, Audit]
    tested: Probabilities

    def members(self) -> dict[str, Any]:
        """Return those members of a card that come from here, by name."""
        return {
            "operating_points": self.operating_points,
            "distance_threshold": self.refusal.distance_threshold,
            "upright_threshold": self.refusal.upright_threshold,
            "metrics": self.metrics,
            "audit": self.audit,
        }


def measure_bundle(
    int8: bytes, fp32: bytes | None, splits: Splits, labels: Sequence[Label], seed: int
) -> Measured:
    """Choose operating points and refusal by the int8 graph on validation; measure both graphs.

    Parameters
    ----------
    int8, fp32 : graphs that serving runs; of the float32 one only figures are told, if there is one
    labels : of the graphs' columns, in their order
    seed : of the audit
    """

    def ask(graph: bytes, images: ImageSet, what: str) -> Outputs:
        outputs = run_network(Network(graph, count_cpus()), images.images, what)
        return in_our_order(outputs, labels)

    measured = {"validation": splits.validation, "test": splits.test}
    answers = {split: ask(int8, images, split) for split, images in measured.items()}
    validated = answers["validation"]
    held = splits.validation
    enough = can_calibrate(held.labels, held.patients)
    points = fit_operating_points(validated.probabilities, held.labels) if enough else None
    refusal = Refusal(fit_distance_threshold(validated.distance), UPRIGHT_THRESHOLD)
    metrics = {}
    audit = {}
    for split, images in measured.items():
        metrics[split] = evaluate(answers[split], images, points, refusal)
        audit[split] = audit_graph(int8, images, answers[split], refusal, seed)
        if fp32:
            metrics[f"{split}_fp32"] = evaluate(ask(fp32, images, f"{split}, fp32"), images)
    return Measured(points, refusal, metrics, audit, answers["test"].probabilities)
