"""One ONNX Runtime session, and the numbers it gives for a batch of images."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.errors import GraphUnusable, KnownAnswerWrong
from app.image.resize import SIDE_PX
from app.model.bundle import Bundle
from app.model.card import KNOWN_SIDE_PX, Card
from app.model.labels import ORIENTATIONS, LabelId, Orientation

OUTPUTS: Final = ("probabilities", "logits", "cam", "distance")
"""Of every graph; `orientation` comes with bundle format 2."""

ORIENTATION: Final = "orientation"

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one forward pass gives for N images, float32 throughout.

    Parameters
    ----------
    probabilities : [N, 4], calibrated, rows sum to 1
    logits : [N, 4], before temperature
    cam : [N, 4, height, width], class activation maps, as fine as the graph makes them (7 x 7);
        their mean plus the head's bias is `logits`
    distance : [N], squared Mahalanobis distance of the pooled features to the nearest class
    orientation : [N, 5], probabilities in the order of `app.model.labels.ORIENTATIONS`;
        None if the graph does not tell
    """

    probabilities: Floats
    logits: Floats
    cam: Floats
    distance: Floats
    orientation: Floats | None = None

    def one(self, labels: Sequence[LabelId], index: int = 0) -> "ImageOutputs":
        """Return what is given for the image at `index`; `labels` name the columns."""
        turned = None
        if self.orientation is not None:
            turned = dict(zip(ORIENTATIONS, self.orientation[index].tolist(), strict=True))
        return ImageOutputs(
            probabilities=dict(zip(labels, self.probabilities[index].tolist(), strict=True)),
            logits=dict(zip(labels, self.logits[index].tolist(), strict=True)),
            cam=dict(zip(labels, self.cam[index], strict=True)),
            distance=float(self.distance[index]),
            orientation=turned,
        )


@dataclass(frozen=True, slots=True)
class ImageOutputs:
    """What one forward pass gives for one image, by name.

    Parameters
    ----------
    probabilities : calibrated, in the card's order of labels
    logits : before temperature
    cam : float32 [height, width] each, the same for all
    distance : as of `Outputs`
    orientation : probabilities; None if the graph does not tell
    """

    probabilities: dict[LabelId, float]
    logits: dict[LabelId, float]
    cam: dict[LabelId, Floats]
    distance: float
    orientation: dict[Orientation, float] | None

    def at_temperature(self, temperature: float) -> dict[LabelId, float]:
        """Return what the probabilities are under another temperature than the card's."""
        cooled = np.array(list(self.logits.values()), np.float64) / temperature
        shares = np.exp(cooled - cooled.max())
        return dict(zip(self.logits, (shares / shares.sum()).tolist(), strict=True))


class Model(Protocol):
    """What the rest of the service knows of a network."""

    card: Card
    card_json: bytes

    def run(self, pixels: Pixels) -> Outputs:
        """Answer for uint8 images [N, 1, 224, 224]; callable from several threads at once."""


class Network:
    """A graph in an ONNX Runtime session on the CPU, fed with images.

    Parameters
    ----------
    graph : the bytes of an ONNX file with the contract's input and outputs
    threads : intra-op threads of one run; ONNX Runtime can't see a container's limits

    Raises
    ------
    GraphUnusable
        If ONNX Runtime can't load the graph, or its outputs are not the contract's.
    """

    def __init__(self, graph: bytes, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn the cores that decoding needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's share no base of their own
            raise GraphUnusable(reason=f"it does not load ({type(error).__name__})") from None
        given = {output.name for output in self._session.get_outputs()}
        if not given.issuperset(OUTPUTS):
            raise GraphUnusable(reason="it lacks an output")
        self._outputs = [*OUTPUTS, *({ORIENTATION} & given)]

    def run(self, pixels: Pixels) -> Outputs:
        """Answer for uint8 images [N, 1, 224, 224]; callable from several threads at once."""
        return Outputs(*self._session.run(self._outputs, {"image": pixels}))


class OnnxModel(Network):
    """A bundle's graph with its card.

    Parameters
    ----------
    bundle : already checked by `app.model.bundle.read_bundle`
    threads : as of `Network`
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        super().__init__(bundle.graph, threads)
        self.card = bundle.card
        self.card_json = bundle.card_json
        self.signed_by = bundle.signed_by

    def check_known_answers(self) -> None:
        """Ask for the card's known answers; the first run also warms the session up.

        Raises
        ------
        KnownAnswerWrong
            If a probability is further from the card's than its tolerance.
        """
        tolerance = self.card.known_answer_tolerance
        for index, known in enumerate(self.card.known_answers):
            answer = self.run(enlarge_known_pixels(known.pixels)).probabilities[0]
            difference = float(np.abs(answer - np.array(known.probabilities)).max())
            if not difference <= tolerance:  # written so that a NaN fails
                raise KnownAnswerWrong(
                    bundle=self.card.name, index=index, difference=difference, tolerance=tolerance
                )


def enlarge_known_pixels(pixels: str) -> Pixels:
    """Turn a known answer's 28 x 28 bytes into the input uint8 [1, 1, 224, 224]."""
    small = np.frombuffer(base64.b64decode(pixels), np.uint8)
    block = np.ones((SIDE_PX // KNOWN_SIDE_PX, SIDE_PX // KNOWN_SIDE_PX), np.uint8)
    return np.kron(small.reshape(KNOWN_SIDE_PX, KNOWN_SIDE_PX), block)[np.newaxis, np.newaxis]
