"""The window: which of a 16-bit film's values become black and white.

Files hold 10, 12 or 14 significant bits without saying so, and beside the film a side marker, a
burned-in letter or a dead pixel at whatever value. So the window spans the values that the film
itself uses: from its 5 % to its 95 % quantile, and on to where its values thin out.

- A value is thin if fewer than 0.05 % of the pixels lie within the 3 % of the span behind it. What
  lies further out is no part of the film, and becomes black or white.
- A film that reaches the upper half of 16 bits is of full scale, as an 8-bit film is: it keeps its
  grey levels, so that a film reads the same saved with 8 or with 16 bits.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.image.stripes import stripes

DEEP_MAX: Final = 0xFFFF
FULL_SCALE: Final = 0x8000
_TAIL: Final = 0.05
_GAP: Final = 0.03
_FEW: Final = 0.0005
_MOST_COUNTED: Final = 1_000_000


def to_eight_bits(samples: NDArray[np.integer[Any]], gamma: float = 1.0) -> NDArray[np.uint8]:
    """Map 16-bit samples [height, width] to 8 bits by their window.

    A constant film is black, unless it is of full scale.

    Parameters
    ----------
    gamma : exponent that makes grey levels of the samples, as shares of 65535
    """
    low, high = find_window(samples)
    if high >= FULL_SCALE:
        low, high = 0, DEEP_MAX
    levels = (np.arange(DEEP_MAX + 1) / DEEP_MAX) ** gamma
    table = np.zeros(DEEP_MAX + 1, np.uint8)
    if high > low:
        shares = (levels - levels[low]) / (levels[high] - levels[low])
        table = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
    grey = np.empty(samples.shape, np.uint8)
    for rows in stripes(samples):  # indices take 8 bytes a pixel
        grey[rows] = np.take(table, samples[rows])
    return grey


def find_window(samples: NDArray[np.integer[Any]]) -> tuple[int, int]:
    """Return the lowest and the highest value of the film, by what most of its pixels are."""
    return find_window_of_counts(count_values(samples))


def count_values(samples: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return how often each value is there; of a large film a million pixels, evenly taken.

    Parameters
    ----------
    samples : [height, width], from 0 to 65535

    Returns
    -------
    int64 [65536]
    """
    step = math.ceil(math.sqrt(samples.size / _MOST_COUNTED)) or 1
    return np.bincount(samples[::step, ::step].ravel(), minlength=DEEP_MAX + 1)


def find_window_of_counts(counts: NDArray[np.int64]) -> tuple[int, int]:
    """Return the lowest and the highest value of the film, by how often each is there.

    Parameters
    ----------
    counts : int64 [65536]; changed
    """
    commonest = int(counts.argmax())
    if counts[commonest] > (1 - 2 * _TAIL) * counts.sum():
        counts[commonest] = 0  # a border that is wider than the film: the film is the rest
        if not counts.any():
            return commonest, commonest
    below = np.concatenate(([0], np.cumsum(counts)))  # pixels under each value
    total = int(below[-1])
    dark = int(np.searchsorted(below, total * _TAIL, side="right")) - 1
    bright = int(np.searchsorted(below, total * (1 - _TAIL), side="left")) - 1
    reach = max(1, round((bright - dark) * _GAP))
    return _thin_out(below, dark, -reach), _thin_out(below, bright, reach)


def _thin_out(below: NDArray[np.int64], start: int, reach: int) -> int:
    """Return the first value from `start` on, in the direction of `reach`, that is thin."""
    few = below[-1] * _FEW
    last = len(below) - 2
    values = np.arange(start, last + 1) if reach > 0 else np.arange(start, -1, -1)
    if reach > 0:
        behind = below[np.minimum(values + reach, last) + 1] - below[values + 1]
    else:
        behind = below[values] - below[np.maximum(values + reach, 0)]
    return int(values[np.argmax(behind < few)])
