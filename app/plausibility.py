"""Whether a picture is a frontal chest X-ray at all, and what would make it one.

By the distance of its features to those of the training images (`app.inference.Outputs`), not
by anything of the file. Only what is refused is looked at again: inverted and turned.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from app.errors import NotAChestXray
from app.inference import Model, Outputs, Pixels

_MENDS: Final[tuple[tuple[str, Callable[[Pixels], Pixels]], ...]] = (
    ("inverted", lambda pixels: 255 - pixels),
    ("upside_down", lambda pixels: pixels[:, :, ::-1, ::-1]),
    ("sideways", lambda pixels: np.rot90(pixels, 1, (2, 3))),
    ("sideways", lambda pixels: np.rot90(pixels, 3, (2, 3))),
)


def refuse_unlike(model: Model, pixels: Pixels, outputs: Outputs) -> None:
    """Refuse a picture that is too far from what the model knows.

    Parameters
    ----------
    pixels : uint8 [1, 1, 224, 224], and what the model made of them

    Raises
    ------
    NotAChestXray
        With a `reason`: inverted, upside_down, sideways, or unknown.
    """
    threshold = model.card.distance_threshold
    if threshold is None or float(outputs.distance[0]) <= threshold:
        return
    reason, distance = min(
        (
            (reason, float(model.run(np.ascontiguousarray(mend(pixels))).distance[0]))
            for reason, mend in _MENDS
        ),
        key=lambda tried: tried[1],
    )
    raise NotAChestXray(reason=reason if distance <= threshold else "unknown")
