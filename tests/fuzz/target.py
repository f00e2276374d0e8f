"""A target: something that reads bytes which others wrote, inputs for it, and what may come of it.

A number names each input: the same run gives the same inputs.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Self

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

CANARY = b"CANARY^JANE^19480229"
"""Stands in inputs as a patient's name would; no answer may hold it."""
BATCH = 500
_ODD_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


class Wrong(Exception):
    """What may not come of an input."""


class Target(ABC):
    """Something that reads bytes."""

    name: ClassVar[str]
    suffix: ClassVar[str] = "bin"
    share: ClassVar[int] = 1
    """How many of all inputs it gets, beside the other targets' shares."""

    def open(self) -> None:  # noqa: B027 - few have anything to prepare
        """Prepare, in the process that runs it."""

    def close(self) -> None:  # noqa: B027
        """Let go of what `open` took."""

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        """Go to another process as new: what was opened in this one stays here."""
        return type(self), ()

    @abstractmethod
    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give `count` inputs from number `first` on."""

    @abstractmethod
    def run(self, data: bytes) -> str:
        """Read an input; return in a word how it ended. All that it raises is a finding."""

    def processes(self) -> list[int]:
        """Return the ids of processes that work for this one."""
        return []


def damaged(
    wholes: Sequence[bytes],
    first: int,
    count: int,
    damage: Callable[[bytes, random.Random], bytes],
) -> Iterator[bytes]:
    """Give one of several whole files after the other, damaged."""
    for number in range(first, first + count):
        dice = random.Random(number)  # noqa: S311 - to be repeated
        yield damage(dice.choice(wholes), dice)


def damage_bytes(whole: bytes, dice: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Flip, overwrite, cut out, double and insert; `others` are words that a reader may know."""
    data = bytearray(whole)
    for _ in range(dice.choice([1, 1, 1, 2, 3, 8])):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(8):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 2 if at < len(data):
                data[at] = dice.choice(_ODD_BYTES)
            case 3:
                data[at : at + 4] = dice.randbytes(4)
            case 4:
                del data[at : at + dice.choice([1, 2, 8, 100, 1460])]
            case 5:
                data[at:at] = data[at : at + dice.choice([1, 4, 64, 1000])]
            case 6 if others:
                data[at:at] = dice.choice(others)
            case _:
                end = at + dice.choice([1, 8, 40])
                piece = data[at:end]
                del data[at:end]
                to = dice.randrange(len(data) + 1)
                data[to:to] = piece
    if dice.random() < 0.05:
        del data[dice.randrange(len(data) + 1) :]
    return bytes(data)


def invented(strategy: SearchStrategy[bytes], first: int, count: int) -> Iterator[bytes]:
    """Give what hypothesis makes of a strategy, in batches whose first number is the seed."""
    for begin in range(first // BATCH * BATCH, first + count, BATCH):
        skipped = max(0, first - begin)
        yield from _batch(strategy, begin)[skipped : skipped + first + count - max(first, begin)]


def _batch(strategy: SearchStrategy[bytes], number: int) -> list[bytes]:
    made: list[bytes] = []

    @seed(number)
    @settings(
        max_examples=BATCH,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(data: bytes) -> None:
        made.append(data)

    keep()
    return (made * BATCH)[:BATCH]  # of a small space there are fewer
