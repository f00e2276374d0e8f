"""What is fitted to a network's outputs and put behind it: distance, orientation, temperature."""

from dataclasses import replace
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.special import softmax

from app.machine import count_cpus
from app.model.labels import ORIENTATIONS
from app.model.session import Network, Outputs
from training.data.images import ImageSet
from training.export.calibration import fit_distance, fit_orientation, fit_temperature
from training.export.graph import Tail, answer
from training.measure.evaluation import run_core, run_network
from training.measure.stress import turn
from training.metrics.reliability import can_calibrate

_MOST_TURNED: Final = 1000


def fit_features(model: onnx.ModelProto, fitted: ImageSet) -> tuple[NDArray[np.float32], ...]:
    """Return (whitening, centres, orientation, orientation_bias) by a core's pooled features.

    Of a core that takes images; orientation by at most 1000 of them, evenly taken.
    """
    _, pooled = run_core(model, fitted.images)
    whitening, centres = fit_distance(pooled, fitted.labels)
    count = len(fitted.labels)
    some = np.unique(np.linspace(0, count - 1, min(count, _MOST_TURNED)).astype(int))
    turned = [turn(fitted.images[some], orientation) for orientation in ORIENTATIONS]
    whitened = [run_core(model, images)[1] @ whitening for images in turned]
    orientations = np.repeat(np.arange(len(ORIENTATIONS)), len(some))
    return whitening, centres, *fit_orientation(np.concatenate(whitened), orientations)


def calibrate(
    model: onnx.ModelProto,
    tail: Tail,
    validation: ImageSet,
    what: str,
    temperature: float | None = None,
) -> tuple[Tail, Outputs]:
    """Fit the temperature of a core that takes images to its own logits, whatever `tail` has.

    It is 1 where validation is too small to choose one by. A `temperature` that is given is taken
    as it is: that of held-out answers, which were float32 and of other networks of the recipe.
    Int8 moves logits by far less than one network's differ from the next one's.

    Returns
    -------
    the tail with that temperature, and the answers for `validation` at it, from one pass
    """
    network = Network(answer(model, tail).SerializeToString(), count_cpus())
    outputs = run_network(network, validation.images, f"validation, {what}")
    if temperature is None:
        enough = can_calibrate(validation.labels, validation.patients)
        temperature = fit_temperature(outputs.logits, validation.labels) if enough else 1.0
    probabilities = softmax(outputs.logits / np.float32(temperature), axis=1)
    return replace(tail, temperature=temperature), replace(outputs, probabilities=probabilities)
