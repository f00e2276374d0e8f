"""Models for tests that say themselves what they see: no graph, no file, no time."""

import json
import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.session import Outputs, Pixels
from tests.bundles import make_card

EVEN = (0.25, 0.25, 0.25, 0.25)
NO_CAMS = np.zeros((4, 7, 7), np.float32)


class FakeModel:
    """Gives each image the same answer, and keeps the images that it was given.

    Parameters
    ----------
    probabilities : of the labels, in the order of `LABEL_IDS`
    cams : float32 [4, height, width], in the same order
    card : what its card says otherwise than `tests.bundles.make_card`
    """

    def __init__(
        self,
        probabilities: Sequence[float] = EVEN,
        cams: NDArray[np.float32] = NO_CAMS,
        card: Mapping[str, object] | None = None,
    ) -> None:
        content = make_card(**(card or {}))
        self.card = Card.model_validate(content)
        self.card_json = json.dumps(content).encode()
        self.seen: list[Pixels] = []
        self._probabilities = np.array([probabilities], np.float32)
        self._cams = cams[np.newaxis]

    def run(self, pixels: Pixels) -> Outputs:
        """Answer for one image, uint8 [1, 1, 224, 224]."""
        self.seen.append(pixels)
        return Outputs(
            probabilities=self._probabilities,
            logits=self._cams.mean((2, 3)),
            cam=self._cams,
            distance=np.zeros(1, np.float32),
        )


class HeldModel(FakeModel):
    """A fake model whose runs wait until they are let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def run(self, pixels: Pixels) -> Outputs:
        """Answer once `go_on` is set."""
        self.begun.set()
        assert self.go_on.wait(20)
        return super().run(pixels)


def one_hot_cams() -> NDArray[np.float32]:
    """Return maps [4, 7, 7] that differ: label i speaks in the cell (2i, 2i), and nowhere else."""
    cams = np.zeros((len(LABEL_IDS), 7, 7), np.float32)
    for index in range(len(LABEL_IDS)):
        cams[index, 2 * index, 2 * index] = 1 + index
    return cams
