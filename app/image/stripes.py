"""Stripes: an image worked on some rows at a time, where what is in between takes more room."""

from collections.abc import Iterator
from typing import Any, Final

from numpy.typing import NDArray

_ROWS: Final = 64


def stripes(image: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of each stripe of an image, from the top."""
    for top in range(0, len(image), _ROWS):
        yield slice(top, top + _ROWS)
