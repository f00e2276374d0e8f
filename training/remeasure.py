"""Measuring a bundle anew: its card as this version writes it, the network as it is.

For a bundle from before a figure, a rule or a limitation was known, or one whose operating
points a hospital wants from its own patients.
"""

import hashlib

import onnx

from app.bundle import Bundle
from app.card import Card
from app.cpus import count_cpus
from app.inference import Network
from training.audit import audit_graph
from training.calibrate import (
    UPRIGHT_THRESHOLD,
    fit_distance_threshold,
    fit_operating_points,
    label_priors,
)
from training.card import write_bundle
from training.config import Config
from training.evaluate import Refusal, evaluate, in_our_order, run_network
from training.graph import read_blocks
from training.images import ImageSet


def remeasure(config: Config, bundle: Bundle, validation: ImageSet, test: ImageSet) -> Card:
    """Choose anew on `validation`, measure both splits, write ``config.bundle_folder``.

    Texts, population and split are the recipe's. The graph's weights and temperature stay, and
    so do the figures of its float32 original; an int8 graph from before `read_blocks` is
    arranged by it, which changes no answer.
    """
    graph = _arrange(bundle.graph)
    network = Network(graph, count_cpus())
    validated = in_our_order(run_network(network, validation.images, "validation"), bundle)
    tested = in_our_order(run_network(network, test.images, "test"), bundle)
    points = fit_operating_points(validated.probabilities, validation.labels)
    oriented = UPRIGHT_THRESHOLD if validated.orientation is not None else None
    refusal = Refusal(fit_distance_threshold(validated.distance), oriented)
    card = bundle.card.model_copy(
        update={
            "sha256": hashlib.sha256(graph).hexdigest(),
            "intended_use": config.intended_use,
            "limitations": config.limitations,
            "licence": config.licence,
            "population": config.population,
            "operating_points": points,
            "distance_threshold": refusal.distance_threshold,
            "upright_threshold": refusal.upright_threshold,
            "priors": label_priors(validation.labels),
            "metrics": bundle.card.metrics
            | {
                "validation": evaluate(validated, validation, points, refusal),
                "test": evaluate(tested, test, points, refusal),
            },
            "audit": {
                "validation": audit_graph(graph, validation, validated, refusal, config.seed),
                "test": audit_graph(graph, test, tested, refusal, config.seed),
            },
        }
    )
    folder = config.bundle_folder
    graphs = {path.name: path.read_bytes() for path in folder.glob("model*.onnx")}
    graphs["model.onnx"] = graph
    write_bundle(folder, card, graphs, test.labels, tested.probabilities)
    return card


def _arrange(graph: bytes) -> bytes:
    """Return the very bytes where there is nothing to arrange: their hash stays."""
    model = onnx.load_from_string(graph)
    arranged = read_blocks(model)
    return graph if arranged == model else arranged.SerializeToString()
