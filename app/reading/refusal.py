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

_MENDS: Final[Mapping[Orientation, tuple[str, Callable[[Pixels], Pixels]]]] = MappingProxyType(
    {
        "upside_down": ("upside_down", lambda pixels: np.rot90(pixels, 2, (2, 3))),
        "turned_left": ("sideways", lambda pixels: np.rot90(pixels, 3, (2, 3))),
        "turned_right": ("sideways", lambda pixels: np.rot90(pixels, 1, (2, 3))),
        "inverted": ("inverted", lambda pixels: 255 - pixels),
    }
)
"""By how a picture is turned: the reason, and what undoes it."""


def refuse_unlike(
    model: Model,
    pixels: Pixels,
    outputs: ImageOutputs,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Refuse a picture that is too far from what the model knows, turned or inverted.

    Parameters
    ----------
    pixels : uint8 [1, 1, 224, 224]
    outputs : what the model gave for them
    check : called before the network is asked again; what it raises ends the reading

    Raises
    ------
    NotAChestXray
        With a `reason`: inverted, upside_down, sideways, or unknown.
    """
    threshold = model.card.distance_threshold
    if threshold is not None and not outputs.distance <= threshold:  # written so that a NaN fails
        check()
        raise NotAChestXray(reason=_find_mend(model, pixels, outputs, threshold))
    least = model.card.upright_threshold
    turned = outputs.orientation
    if least is None or turned is None or turned["upright"] >= least:
        return
    raise NotAChestXray(reason=_MENDS[_most_likely(turned)][0])


def _find_mend(model: Model, pixels: Pixels, outputs: ImageOutputs, threshold: float) -> str:
    """Return what brings the picture nearer than `threshold`, or unknown.

    Tried is what the network itself takes it for; where the graph does not tell, all, in one run.
    """
    tried = list(_MENDS.values())
    if outputs.orientation is not None:
        tried = [_MENDS[_most_likely(outputs.orientation)]]
    mended = np.concatenate([mend(pixels) for _, mend in tried])
    distances = model.run(np.ascontiguousarray(mended)).distance
    best = int(distances.argmin())
    return tried[best][0] if distances[best] <= threshold else "unknown"


def _most_likely(turned: Mapping[Orientation, float]) -> Orientation:
    return max(_MENDS, key=turned.__getitem__)
