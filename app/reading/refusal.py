"""Whether a picture is a frontal chest X-ray at all, and what would make it one.

By the distance of its features to those of the training images and by how they say it is turned
(`app.model.session.ImageOutputs`), not by anything of the file. Only what is too far is looked at
again: inverted and turned.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from app.errors import NotAChestXray
from app.model.labels import Orientation
from app.model.session import ImageOutputs, Model, Pixels

_MENDS: Final[tuple[tuple[str, Callable[[Pixels], Pixels]], ...]] = (
    ("inverted", lambda pixels: 255 - pixels),
    ("upside_down", lambda pixels: pixels[:, :, ::-1, ::-1]),
    ("sideways", lambda pixels: np.rot90(pixels, 1, (2, 3))),
    ("sideways", lambda pixels: np.rot90(pixels, 3, (2, 3))),
)

_REASONS: Final[Mapping[Orientation, str]] = MappingProxyType(
    {
        "upside_down": "upside_down",
        "turned_left": "sideways",
        "turned_right": "sideways",
        "inverted": "inverted",
    }
)


def refuse_unlike(model: Model, pixels: Pixels, outputs: ImageOutputs) -> None:
    """Refuse a picture that is too far from what the model knows, turned or inverted.

    Parameters
    ----------
    pixels : uint8 [1, 1, 224, 224]
    outputs : what the model gave for them

    Raises
    ------
    NotAChestXray
        With a `reason`: inverted, upside_down, sideways, or unknown.
    """
    threshold = model.card.distance_threshold
    if threshold is not None and not outputs.distance <= threshold:  # written so that a NaN fails
        raise NotAChestXray(reason=_find_mend(model, pixels, threshold))
    least = model.card.upright_threshold
    turned = outputs.orientation
    if least is None or turned is None or turned["upright"] >= least:
        return
    most_likely = max(_REASONS, key=turned.__getitem__)
    raise NotAChestXray(reason=_REASONS[most_likely])


def _find_mend(model: Model, pixels: Pixels, threshold: float) -> str:
    """Return what brings the picture nearer than `threshold`, or unknown."""
    reason, distance = min(
        (
            (reason, float(model.run(np.ascontiguousarray(mend(pixels))).distance[0]))
            for reason, mend in _MENDS
        ),
        key=lambda tried: tried[1],
    )
    return reason if distance <= threshold else "unknown"
