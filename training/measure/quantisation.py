"""Choosing how activations become bytes, and the gate that an int8 graph has to pass."""

from collections.abc import Mapping
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from app.model.figures import QuantisedFigures
from app.model.session import Outputs
from training.config import CalibrationName, Config
from training.export.onnx_export import ExportError
from training.metrics.metrics import Labels, macro_auroc
from training.metrics.reliability import expected_calibration_error

MAX_AUROC_LOSS: Final = 0.003
"""Of macro-AUROC on validation, int8 against float32."""

CLEAR_MARGIN: Final = 0.1
"""Between float32's two highest probabilities: where it is clear, int8 must agree ..."""

MIN_LABELS_KEPT: Final = 0.995
"""... on this share of the images; one image may always change, as few as there are."""


def methods_to_try(config: Config) -> tuple[CalibrationName, ...]:
    """Return the one method asked for, or all."""
    every: tuple[CalibrationName, ...] = get_args(CalibrationName)
    return every if config.calibration_method == "auto" else (config.calibration_method,)


def compare(labels: Labels, exact: Outputs, quantised: Outputs) -> QuantisedFigures:
    """Measure int8 answers against float32 ones of the same images."""
    called = exact.probabilities.argmax(1)
    second, first = np.sort(exact.probabilities, axis=1)[:, -2:].T
    clear = first - second > CLEAR_MARGIN
    kept = quantised.probabilities.argmax(1) == called
    rows = np.arange(len(called))
    nll = -np.log(np.maximum(quantised.probabilities[rows, labels], 1e-12))
    return QuantisedFigures(
        macro_auroc=macro_auroc(labels, quantised.probabilities),
        nll=float(nll.mean()),
        ece=expected_calibration_error(labels, quantised.probabilities),
        difference=float(np.abs(quantised.probabilities - exact.probabilities).mean()),
        cam_correlation=float(_correlate(exact.cam[rows, called], quantised.cam[rows, called])),
        labels_kept=float(kept[clear].mean()) if clear.any() else 1.0,
        clear_images=int(clear.sum()),
    )


def choose(tried: Mapping[str, QuantisedFigures]) -> str:
    """Return the method whose probabilities are nearest to float32's."""
    return min(tried, key=lambda method: tried[method].difference)


def check_gate(fp32_macro_auroc: float, int8: QuantisedFigures) -> None:
    """Stop a release whose int8 graph lost what float32 knew.

    Raises
    ------
    ExportError
        With the figures, and what to try.
    """
    loss = fp32_macro_auroc - int8.macro_auroc
    changed = round((1 - np.nan_to_num(int8.labels_kept)) * int8.clear_images)
    allowed = max(1, int((1 - MIN_LABELS_KEPT) * int8.clear_images))
    if loss <= MAX_AUROC_LOSS and changed <= allowed:
        return
    raise ExportError(
        reason=f"int8 loses {loss:.4f} macro-AUROC on validation (at most {MAX_AUROC_LOSS}) and "
        f"changes {changed} of {int8.clear_images} clear labels (at most {allowed}). Give more "
        "--calibration-images, or train longer: the weights may not have settled."
    )


def _correlate(first: NDArray[np.float32], second: NDArray[np.float32]) -> np.floating:
    """Mean Pearson correlation of maps [N, 7, 7]."""
    one, other = (
        (maps - maps.mean((1, 2), keepdims=True)).reshape(len(maps), -1) for maps in (first, second)
    )
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    mean: np.floating = ((one * other).sum(1) / np.maximum(norms, 1e-12)).mean()
    return mean
