"""Readings as tensors: what the Open Inference Protocol answers, a row for each image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class FloatTensor:
    """Numbers, told as FP32."""

    values: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return self.values.shape


@dataclass(frozen=True, slots=True)
class TextTensor:
    """One text for each image, told as BYTES [n]."""

    values: list[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return (len(self.values),)


@dataclass(frozen=True, slots=True)
class Output:
    """One output that can be asked for.

    Parameters
    ----------
    shape : as metadata tells it; -1 where it varies
    of : what it is of one Reading
    """

    datatype: Literal["FP32", "BYTES"]
    shape: tuple[int, ...]
    of: Callable[[Reading], object]


OUTPUTS: Final[Mapping[str, Output]] = MappingProxyType(
    {
        "probabilities": Output(
            "FP32", (-1, 4), lambda reading: list(reading.judgement.probabilities.values())
        ),
        "labels": Output("BYTES", (-1,), lambda reading: reading.judgement.label),
        "status": Output("BYTES", (-1,), lambda reading: reading.judgement.status),
        "reasons": Output("BYTES", (-1,), lambda reading: " ".join(reading.judgement.reasons)),
        "warnings": Output("BYTES", (-1,), lambda reading: " ".join(reading.judgement.warnings)),
        "logits": Output("FP32", (-1, 4), lambda reading: list(reading.outputs.logits.values())),
        "distance": Output("FP32", (-1,), lambda reading: reading.outputs.distance),
        "cam": Output("FP32", (-1, 4, -1, -1), lambda reading: [*reading.outputs.cam.values()]),
    }
)
"""By name. Columns of labels are in the card's order; `status`, `reasons` and `warnings` are the
codes that /predict gives, `probabilities` too."""


def make_tensors(
    readings: Sequence[Reading], names: Iterable[str]
) -> dict[str, FloatTensor | TextTensor]:
    """Return the outputs of those names, a row for each Reading."""
    tensors: dict[str, FloatTensor | TextTensor] = {}
    for name in names:
        output = OUTPUTS[name]
        rows = [output.of(reading) for reading in readings]
        if output.datatype == "BYTES":
            tensors[name] = TextTensor([str(row) for row in rows])
        else:
            tensors[name] = FloatTensor(np.array(rows, np.float64))
    return tensors
