"""Measuring a graph through ONNX Runtime: what is served is what is measured."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.bundle import Metrics
from app.inference import Network, Outputs
from training.fit import ImageSet
from training.metrics import measure


def run_network(network: Network, images: NDArray[np.uint8], what: str) -> Outputs:
    """Run images, uint8 [N, 1, 224, 224], one at a time as serving does."""
    parts = [
        network.run(images[index : index + 1])
        for index in tqdm(range(len(images)), desc=f"measuring {what}", unit="image")
    ]
    return Outputs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("probabilities", "logits", "cam", "distance")
        )
    )


def evaluate(outputs: Outputs, images: ImageSet) -> Metrics:
    """Compute the card's figures of one split from what a network answered for it."""
    return measure(
        images.labels,
        outputs.probabilities,
        [sample.patient for sample in images.samples],
        [sample.source for sample in images.samples],
    )
