"""What is fitted to the network's features and put behind it: distance and orientation."""

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from app.model.labels import ORIENTATIONS
from training.data.images import ImageSet
from training.export.calibration import fit_distance, fit_orientation
from training.measure.evaluation import run_core
from training.measure.stress import turn

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
