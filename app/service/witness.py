"""Who else is told of what is read: the audit trail, where one is kept."""

from dataclasses import dataclass
from typing import Final, Protocol

from app.model.card import Card
from app.reading.population import WarningCode
from app.reading.reading import Reading
from app.service.trace import Trace


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image came from, as far as it may be written down.

    Parameters
    ----------
    request_id : of the request, as its answer tells it
    caller : name of the key or token it came with; empty without one
    call : which call it was, as /predict
    index : the file's place in its request, from 0
    remarks : warnings of the request, beside those of the Reading
    trace : of the request, where traces are collected; it is not written down
    """

    request_id: str = ""
    caller: str = ""
    call: str = ""
    index: int = 0
    remarks: tuple[WarningCode, ...] = ()
    trace: Trace | None = None


NOWHERE: Final = Origin()
"""Of which nothing is told."""


class Witness(Protocol):
    """Who is told of every image, on the event loop: it must not wait for anything."""

    def check(self) -> None:
        """Raise a `RequestError` if nothing may be read now."""

    def saw_reading(self, origin: Origin, reading: Reading) -> None:
        """Be told of an image that was read, before it is answered."""

    def saw_refusal(self, origin: Origin, code: str, image_sha256: str | None, card: Card) -> None:
        """Be told of an image that was not read.

        Parameters
        ----------
        code : of the error
        card : of the model that would have read it
        image_sha256 : of the file; None if no thread came to look at it
        """


class Nobody:
    """Is told, and does nothing."""

    def check(self) -> None:
        """Let everything be read."""

    def saw_reading(self, origin: Origin, reading: Reading) -> None:
        """Do nothing."""

    def saw_refusal(self, origin: Origin, code: str, image_sha256: str | None, card: Card) -> None:
        """Do nothing."""
