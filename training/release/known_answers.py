"""Golden inputs of a bundle, and what its graphs answer to them."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from app.machine import count_cpus
from app.model.card import KNOWN_SIDE_PX, Exact, KnownAnswer
from app.model.session import Network, enlarge_known_pixels
from training.config import LABELS
from training.data.images import ImageSet

_CARICATURE: Final = 4


def ask_known(graph: bytes, images: ImageSet) -> list[KnownAnswer]:
    """Ask a graph about a caricature of each label: its mean image, differences enlarged.

    Means over hundreds of patients, so of none. Without the caricature all four look normal.
    """
    means = [images.images[images.labels == index].mean(0)[0] for index in range(len(LABELS))]
    common = np.mean(means, axis=0)
    pictures = []
    for mean in means:
        drawn = (common + _CARICATURE * (mean - common)).clip(0, 255).astype(np.uint8)
        side = (KNOWN_SIDE_PX, KNOWN_SIDE_PX)
        small = np.asarray(Image.fromarray(drawn).resize(side, Image.Resampling.BOX))
        pictures.append(base64.b64encode(small.tobytes()).decode())
    told = _ask(graph, pictures)
    return [
        KnownAnswer(pixels=pixels, probabilities=values)
        for pixels, values in zip(pictures, told, strict=True)
    ]


def ask_again(graph: bytes, known: Sequence[KnownAnswer]) -> list[KnownAnswer]:
    """Return the same pictures with what this graph answers to them."""
    told = _ask(graph, [each.pixels for each in known])
    return [
        each.model_copy(update={"probabilities": values})
        for each, values in zip(known, told, strict=True)
    ]


def describe_fp32(graph: bytes, known: Sequence[KnownAnswer]) -> Exact:
    """Say of the float32 graph what serving checks before it trusts it."""
    return Exact(
        sha256=hashlib.sha256(graph).hexdigest(),
        known_probabilities=_ask(graph, [each.pixels for each in known]),
    )


def _ask(graph: bytes, pictures: Sequence[str]) -> list[list[float]]:
    network = Network(graph, count_cpus())
    answers = [network.run(enlarge_known_pixels(pixels)).probabilities[0] for pixels in pictures]
    return [[float(value) for value in values] for values in answers]
