"""What came of sending one object, and what a DICOM status says of that."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from app.records.outbox.queue_entries import DueDelivery, Kind


class Verdict(Enum):
    """What is done with a delivery."""

    DELIVERED = "delivered"
    """The partner has it."""

    AGAIN = "again"
    """This object was not taken; it may be the next time, some times."""

    AWAY = "away"
    """The partner takes nothing at all now: that says nothing of the object."""

    NEVER = "never"
    """It would be refused each time: a dead letter."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending one object.

    Parameters
    ----------
    code : why it was not taken, such as ``status_0xA900`` or ``http_503``; never what the partner
        wrote
    wait_s : how long the partner asks to be left alone
    """

    verdict: Verdict
    code: str = ""
    wait_s: float | None = None


DELIVERED: Final = Sent(Verdict.DELIVERED)


class Partner(Protocol):
    """One that gets results. Used by one thread."""

    @property
    def name(self) -> str:
        """As the settings name it."""

    @property
    def kinds(self) -> Collection[Kind]:
        """Which results it takes."""

    def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
        """Send objects, and say of each what came of it as soon as that is known.

        It may end early, if the partner is away; of the others nothing is known then.
        """

    def close(self) -> None:
        """Let go of connections."""


_SUCCESS: Final = 0x0000
_DUPLICATE: Final = 0x0111
_NOT_AUTHORIZED: Final = 0x0124
_WARNINGS: Final = 0xB
_OUT_OF_RESOURCES: Final = 0xA7
_NEVER: Final = frozenset({0x0106, 0x0112, 0x0117, 0x0118, 0x0119, 0x0122, 0x0210, 0x0212})
"""Invalid attribute, class, instance or argument; SOP class not supported; unknown operation."""
_MISMATCH: Final = 0xA9
_NOT_UNDERSTOOD: Final = 0xC


def judge_status(status: int) -> Sent:
    """Return what a C-STORE status means (PS3.4 table B.2-1, PS3.7 annex C), or a failure reason.

    Failure Reason (0008,1197) of STOW-RS takes its values from the same tables.
    """
    if status in (_SUCCESS, _DUPLICATE) or status >> 12 == _WARNINGS:
        return DELIVERED  # a duplicate is what an earlier attempt has brought
    code = f"status_0x{status:04X}"
    if status in _NEVER or status >> 8 == _MISMATCH or status >> 12 == _NOT_UNDERSTOOD:
        return Sent(Verdict.NEVER, code)
    if status >> 8 == _OUT_OF_RESOURCES or status == _NOT_AUTHORIZED:
        return Sent(Verdict.AWAY, code)
    return Sent(Verdict.AGAIN, code)
