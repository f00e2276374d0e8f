"""One input tensor as a v2 request brings it: as JSON, or as bytes behind the JSON."""

import binascii
import math
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import InferenceMalformed

Datatype = Literal["BYTES", "UINT8"]

_LENGTH_BYTES: Final = 4  # in front of each element of BYTES, little-endian
_MOST_AXES: Final = 4
_MOST_A_SIDE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GivenTensor:
    """A tensor whose shape and datatype are known, and whose content is not read yet.

    Parameters
    ----------
    shape : each at least 1
    content : what JSON held as `data`, or the bytes behind the JSON
    is_base64 : whether an element of BYTES is said to be in base64 though it came as bytes
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    content: list[Any] | memoryview
    is_base64: bool = False

    @property
    def count(self) -> int:
        """How many elements the shape names."""
        return math.prod(self.shape)

    def read_bytes(self) -> list[bytes]:
        """Return the elements of BYTES; those of JSON, which holds text only, are in base64.

        Raises
        ------
        InferenceMalformed
        """
        if isinstance(self.content, list):
            return [_from_base64(each) for each in self._flat(self.content)]
        elements = self._split(self.content)
        return [_from_base64(each) for each in elements] if self.is_base64 else elements

    def read_texts(self) -> list[str]:
        """Return the elements of BYTES as text.

        Raises
        ------
        InferenceMalformed
        """
        if isinstance(self.content, list):
            texts = self._flat(self.content)
            if not all(isinstance(each, str) for each in texts):
                raise InferenceMalformed(reason="elements")
            return texts
        try:
            return [each.decode() for each in self._split(self.content)]
        except UnicodeDecodeError:
            raise InferenceMalformed(reason="elements") from None

    def read_pixels(self) -> NDArray[np.uint8]:
        """Return the elements of UINT8, in this shape.

        Raises
        ------
        InferenceMalformed
        """
        data: bytes | memoryview
        if isinstance(self.content, list):
            try:
                data = bytes(self._flat(self.content))
            except (TypeError, ValueError):  # what is no whole number from 0 to 255
                raise InferenceMalformed(reason="elements") from None
        else:
            data = self.content
        if len(data) != self.count:
            raise InferenceMalformed(reason="count")
        return np.frombuffer(data, np.uint8).reshape(self.shape)

    def _flat(self, data: list[Any]) -> list[Any]:
        """Return the elements in row-major order, nested as the shape or not."""
        for _ in range(len(self.shape)):
            if not (data and isinstance(data[0], list)):
                break
            if not all(isinstance(each, list) for each in data):
                raise InferenceMalformed(reason="elements")
            data = list(chain.from_iterable(data))
        if len(data) != self.count:
            raise InferenceMalformed(reason="count")
        return data

    def _split(self, data: memoryview) -> list[bytes]:
        elements: list[bytes] = []
        at = 0
        while at < len(data) and len(elements) <= self.count:
            begin = at + _LENGTH_BYTES
            at = begin + int.from_bytes(data[at:begin], "little")
            if begin > len(data) or at > len(data):
                raise InferenceMalformed(reason="binary_elements")
            elements.append(bytes(data[begin:at]))
        if len(elements) != self.count:
            raise InferenceMalformed(reason="count")
        return elements


def read_shape(given: object) -> tuple[int, ...]:
    """Read a tensor's shape.

    Raises
    ------
    InferenceMalformed
    """
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST_AXES:
        raise InferenceMalformed(reason="shape")
    if not all(type(side) is int and 1 <= side <= _MOST_A_SIDE for side in given):
        raise InferenceMalformed(reason="shape")
    return tuple(given)


def _from_base64(element: object) -> bytes:
    if isinstance(element, str):
        element = element.replace("\r", "").replace("\n", "")
    elif isinstance(element, bytes):
        element = element.replace(b"\r", b"").replace(b"\n", b"")
    else:
        raise InferenceMalformed(reason="base64")
    try:
        return binascii.a2b_base64(element, strict_mode=True)
    except ValueError:
        raise InferenceMalformed(reason="base64") from None
