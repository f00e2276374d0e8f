"""Measuring a bundle anew: card and graph as this version writes them, the network as it is.

For a bundle from before a figure, a rule or a limitation was known, or one whose operating
points a hospital wants from its own patients.
"""

import hashlib

from app.bundle import Bundle
from app.card import BUNDLE_FORMAT, Card
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
from training.features import fit_features
from training.graph import Tail, answer, cut_tail, read_blocks
from training.release import Splits


def remeasure(config: Config, bundle: Bundle, splits: Splits) -> Card:
    """Fit distance and orientation, choose, and measure anew; write ``config.bundle_folder``.

    Texts, population and split are the recipe's. The network and its temperature stay, and so do
    the figures of its float32 original, and that graph.
    """
    bare, bias, temperature = cut_tail(bundle.graph)
    bare = read_blocks(bare)
    tail = Tail(bias, temperature, *fit_features(bare, splits.fit))
    graph = answer(bare, tail).SerializeToString()
    validation, test = splits.validation, splits.test
    network = Network(graph, count_cpus())
    validated = in_our_order(run_network(network, validation.images, "validation"), bundle)
    tested = in_our_order(run_network(network, test.images, "test"), bundle)
    points = fit_operating_points(validated.probabilities, validation.labels)
    refusal = Refusal(fit_distance_threshold(validated.distance), UPRIGHT_THRESHOLD)
    card = bundle.card.model_copy(
        update={
            "bundle_format": BUNDLE_FORMAT,
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
