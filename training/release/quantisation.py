"""Choosing how activations become bytes, and the gate that an int8 graph has to pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from app.model.measured.figures import Quantisation, QuantisedFigures
from app.model.session import Outputs
from training.config import LABELS, CalibrationName, Config
from training.data.images import ImageSet
from training.data.splits import Splits
from training.export.graph import Tail, answer
from training.export.input_rule import take_images
from training.export.onnx_export import ExportError, quantise
from training.metrics.metrics import Labels, macro_auroc
from training.metrics.reliability import expected_calibration_error
from training.release.tail import calibrate, fit_features

MAX_AUROC_LOSS: Final = 0.003
"""Of macro-AUROC on validation, int8 against float32."""

CLEAR_MARGIN: Final = 0.1
"""Between float32's two highest probabilities: where it is clear, int8 must agree ..."""

MIN_LABELS_KEPT: Final = 0.995
"""... on this share of the images; one image may always change, as few as there are."""


@dataclass(frozen=True, slots=True)
class Int8:
    """The int8 graph that was chosen, and what else was tried."""

    graph: bytes
    temperature: float
    record: Quantisation


def quantise_best(
    config: Config,
    core: onnx.ModelProto,
    tail: Tail,
    splits: Splits,
    exact: Outputs,
    temperature: float | None = None,
) -> Int8:
    """Quantise a core by every method, and make a graph of the one nearest to float32.

    Each is compared with float32's `tail` at a temperature of its own, or the one given; the one
    chosen gets a tail of its own.

    Parameters
    ----------
    exact : what the float32 graph answers on validation, at its temperature

    Raises
    ------
    ExportError
        If even the nearest lost what float32 knew.
    """
    calibration = _class_balanced(splits.fit, config.calibration_images, config.seed)
    labels = splits.validation.labels
    tried: dict[str, QuantisedFigures] = {}
    made: dict[str, tuple[onnx.ModelProto, Tail]] = {}
    for method in methods_to_try(config):
        bare = take_images(quantise(core, calibration, method))
        calibrated, answers = calibrate(bare, tail, splits.validation, method, temperature)
        tried[method] = compare(labels, exact, answers)
        made[method] = bare, calibrated
    best = choose(tried)
    fp32_macro_auroc = macro_auroc(labels, exact.probabilities)
    check_gate(fp32_macro_auroc, tried[best])
    bare, calibrated = made[best]
    own = Tail(calibrated.bias, calibrated.temperature, *fit_features(bare, splits.fit))
    graph: bytes = answer(bare, own).SerializeToString()
    record = Quantisation(method=best, fp32_macro_auroc=fp32_macro_auroc, tried=tried)
    return Int8(graph, own.temperature, record)


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
    """Mean Pearson correlation of maps [N, rows, columns]."""
    one, other = (
        (maps - maps.mean((1, 2), keepdims=True)).reshape(len(maps), -1) for maps in (first, second)
    )
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    mean: np.floating = ((one * other).sum(1) / np.maximum(norms, 1e-12)).mean()
    return mean


def _class_balanced(images: ImageSet, count: int, seed: int) -> NDArray[np.uint8]:
    """Draw `count` / 4 images of each label, fewer where there are fewer."""
    generator = np.random.default_rng(seed)
    rows = [
        generator.permutation(np.flatnonzero(images.labels == index))[: count // len(LABELS)]
        for index in range(len(LABELS))
    ]
    # Mixed, as the calibrators' histograms take their bins from the first batch.
    chosen: NDArray[np.uint8] = images.images[generator.permutation(np.concatenate(rows))]
    return chosen
