"""Which model is active, in every process of the service alike, and how that changes.

In two phases. One worker asks all: each makes sure that it has the model loaded and that it gives
its known answers, and says so. Only if every one can is the choice written down, and then
decided in one cell of memory that all share: each worker changes over at its next turn, between
two films. If one can't, or doesn't say so in time, nothing changes anywhere.
"""

import asyncio
import fcntl
import logging
import mmap
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from app.errors import ModelNotUsable, SwitchFailed, SwitchInProgress
from app.model.registry import Registry
from app.service.processes import ProcessTable

_log = logging.getLogger("neumo.models")

TURN_S: Final = 0.05
"""How often a worker looks whether something was asked or decided."""

_VOTE_LIMIT_S: Final = 60.0
"""For all votes: a bundle that failed is loaded once more, and a worker may just be replaced."""

_CONFIRM_LIMIT_S: Final = 30.0
_CELL_BYTES: Final = 8
_PIN_CELLS: Final = 4  # 32 bytes
_ROW_CELLS: Final = 3  # a row: its vote, the generation it serves, the bundles that it could load
_HEAD_CELLS: Final = 2  # what was decided, what is asked
_SWITCH_BYTE, _PIN_BYTE = range(2)  # what of the file is locked


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided: places in the registry, and how often something was."""

    active: int
    former: int | None
    generation: int = 0


class SwitchBoard:
    """Memory that is shared with the processes forked after it was made.

    A cell is as large as the machine's words, so no reader sees half of one; what belongs
    together stands in one cell. What is decided and asked is written only by whoever holds
    `claim`, a row only by its worker. Locks end with the process that holds them.
    """

    def __init__(self, processes: ProcessTable, models: int, decision: Decision) -> None:
        self.processes = processes
        self._models = models
        self._pins = _HEAD_CELLS
        self._rows = self._pins + models * _PIN_CELLS
        size = (self._rows + processes.workers * _ROW_CELLS) * _CELL_BYTES
        self._memory = mmap.mmap(-1, size)
        self._file = os.memfd_create("neumo-models")  # for locks, so without content
        weakref.finalize(self, os.close, self._file)
        self._cells = memoryview(self._memory).cast("q")
        self._decide(decision)

    @property
    def decision(self) -> Decision:
        """What is decided."""
        cell = self._cells[0]
        former = (cell >> 8 & 0xFF) - 1
        return Decision(cell & 0xFF, None if former < 0 else former, cell >> 16)

    @property
    def proposal(self) -> tuple[int, int]:
        """The number of what is asked, 0 before anything was, and the model's place."""
        cell = self._cells[1]
        return cell >> 8, cell & 0xFF

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Be the only one, among all processes, who asks and decides.

        Raises
        ------
        SwitchInProgress
        """
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _SWITCH_BYTE)
        except OSError:
            raise SwitchInProgress from None
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _SWITCH_BYTE)

    def propose(self, place: int) -> int:
        """Ask every worker whether it can use a model; return the question's number."""
        number = self.proposal[0] + 1
        self._cells[1] = number << 8 | place
        return number

    def enter(self, row: int) -> None:
        """Begin as the worker of a row: what the one before it said counts no more."""
        self._cells[self._row(row)] = 0
        self._cells[self._row(row) + 1] = -1
        self._cells[self._row(row) + 2] = 0
        self.processes.enter(row)

    def vote(self, row: int, number: int, *, can: bool) -> None:
        """Answer a question, as the worker of a row."""
        self._cells[self._row(row)] = number << 1 | can

    def votes(self, number: int) -> list[bool | None]:
        """Return each worker's answer to a question; None where it has not answered yet."""
        cells = [self._cells[self._row(row)] for row in self.processes.rows()]
        return [bool(cell & 1) if cell >> 1 == number else None for cell in cells]

    def decide(self, place: int) -> Decision:
        """Make a model the active one."""
        before = self.decision
        decision = Decision(place, before.active, before.generation + 1)
        self._decide(decision)
        return decision

    def serve(self, row: int, generation: int) -> None:
        """Note which decision the worker of a row follows."""
        self._cells[self._row(row) + 1] = generation

    def followed(self, generation: int) -> bool:
        """Whether every worker follows this decision."""
        rows = self.processes.rows()
        return all(self._cells[self._row(row) + 1] >= generation for row in rows)

    def note_loaded(self, row: int, places: list[int]) -> None:
        """Note which bundles the worker of a row has loaded."""
        self._cells[self._row(row) + 2] = sum(1 << place for place in places)

    def count_loaded(self, place: int) -> int:
        """Return how many workers have loaded a bundle."""
        rows = self.processes.rows()
        return sum(self._cells[self._row(row) + 2] >> place & 1 for row in rows)

    def pin(self, place: int, digest: bytes) -> bool:
        """Note the hash of a bundle that was loaded; False if another was noted before."""
        start = (self._pins + place * _PIN_CELLS) * _CELL_BYTES
        end = start + len(digest)
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _PIN_BYTE)
        try:
            if not any(self._memory[start:end]):
                self._memory[start:end] = digest
            return self._memory[start:end] == digest
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _PIN_BYTE)

    def _decide(self, decision: Decision) -> None:
        former = 0 if decision.former is None else decision.former + 1
        self._cells[0] = decision.generation << 16 | former << 8 | decision.active

    def _row(self, row: int) -> int:
        return self._rows + row * _ROW_CELLS


class ModelSwitch:
    """One worker's part: it answers what is asked, follows what is decided, and can ask itself.

    Parameters
    ----------
    row : this worker's
    check : makes sure that a model can serve, on a thread, or raises
    follow : called with the place of the model that is active now; the model is loaded
    fail : called if what is decided can't be followed: this process must serve no more
    """

    def __init__(
        self,
        board: SwitchBoard,
        row: int,
        registry: Registry,
        check: Callable[[int], None],
        follow: Callable[[int], None],
        fail: Callable[[], None],
    ) -> None:
        self._board = board
        self._row = row
        self._registry = registry
        self._check = check
        self._follow = follow
        self._fail = fail
        self._answered = 0
        self._generation: int | None = None
        self._switching = asyncio.Lock()
        board.enter(row)

    def catch_up(self) -> None:
        """Follow what is decided, if that is new."""
        decision = self._board.decision
        if decision.generation == self._generation:
            return
        if self._registry.entries[decision.active].model is None:
            _log.critical("a model that was decided on isn't loaded here")
            self._fail()
            return
        self._follow(decision.active)
        self._generation = decision.generation
        self.note_loaded()
        self._board.serve(self._row, decision.generation)

    def note_loaded(self) -> None:
        """Tell all which bundles this worker has."""
        entries = enumerate(self._registry.entries)
        usable = [at for at, entry in entries if entry.model and not entry.failure]
        self._board.note_loaded(self._row, usable)

    async def turn(self) -> None:
        """Answer what is asked, and follow what is decided; call it every `TURN_S`."""
        number, place = self._board.proposal
        if number != self._answered:
            can = await asyncio.to_thread(self._can_use, place)
            self.note_loaded()
            self._board.vote(self._row, number, can=can)
            self._answered = number
        self.catch_up()

    async def switch_to(self, place: int, keep: Callable[[Decision], None]) -> Decision:
        """Make a model the active one in every worker, or in none; return what is decided.

        Parameters
        ----------
        keep : writes the choice down, on a thread, before it is decided; raises OSError

        Raises
        ------
        SwitchInProgress, ModelNotUsable, SwitchFailed
        """
        if self._switching.locked():  # within a process the lock of the board doesn't hold
            raise SwitchInProgress
        async with self._switching:
            with self._board.claim():
                return await self._switch_to(place, keep)

    async def _switch_to(self, place: int, keep: Callable[[Decision], None]) -> Decision:
        board = self._board
        before = board.decision
        if place == before.active:
            return before
        number = board.propose(place)
        if not await _until(lambda: None not in board.votes(number), _VOTE_LIMIT_S):
            self._give_up("no_vote")
        if not all(board.votes(number)):
            entry = self._registry.entries[place]
            raise ModelNotUsable(model=entry.name, failure=entry.code or "failed in another worker")
        try:
            await asyncio.to_thread(keep, Decision(place, before.active, before.generation + 1))
        except OSError:
            self._give_up("not_kept")
        decision = board.decide(place)
        if not await _until(lambda: board.followed(decision.generation), _CONFIRM_LIMIT_S):
            self._give_up("not_confirmed")
        return decision

    def _can_use(self, place: int) -> bool:
        try:
            self._check(place)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            entry = self._registry.entries[place]
            members = {"model": entry.name, "code": entry.code}
            _log.error("a model can't be used", exc_info=error, extra={"members": members})
            return False
        return True

    def _give_up(self, reason: str) -> NoReturn:
        raise SwitchFailed(reason=reason)


async def _until(is_so: Callable[[], bool], limit_s: float) -> bool:
    """Return whether it was so before the limit."""
    end_s = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(TURN_S / 2)
    return True
