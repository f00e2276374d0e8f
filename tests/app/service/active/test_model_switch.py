"""app.service.active.model_switch: all workers change to a model, or none does.

Two workers in one process: each has a switch of its own on the board that they share.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.errors import ModelNotUsable, SwitchFailed, SwitchInProgress
from app.model.registry import Registry
from app.service.active import model_switch
from app.service.active.model_switch import Decision, ModelSwitch, SwitchBoard
from app.service.processes import ProcessTable
from tests.models import FakeModel

WORKERS = 2


class Worker:
    """One worker's registry and switch, with what it was told to follow."""

    def __init__(self, board: SwitchBoard, row: int) -> None:
        self.registry = Registry(("neumo-a-1", "neumo-b-1"), lambda _: FakeModel(), board.pin)
        self.broken = False
        self.followed: list[int] = []
        self.failed = 0
        self.switch = ModelSwitch(
            board, row, self.registry, self.check, self.followed.append, self.fail
        )

    def check(self, place: int) -> None:
        if self.broken:
            raise RuntimeError("broken")
        self.registry.check(place)

    def fail(self) -> None:
        self.failed += 1

    def load(self) -> None:
        for place in (0, 1):
            self.registry.load(place)
        self.switch.catch_up()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            await self.switch.turn()


@pytest.fixture
def board() -> SwitchBoard:
    return SwitchBoard(ProcessTable(WORKERS), 2, Decision(0, None))


@pytest.fixture
def workers(board: SwitchBoard) -> list[Worker]:
    workers = [Worker(board, row) for row in range(WORKERS)]
    for worker in workers:
        worker.load()
    return workers


def keep_nothing(_: Decision) -> None:
    """Write nothing down."""


def together(workers: list[Worker], act: Callable[[], Awaitable[Decision]]) -> Decision:
    """Act while all workers run."""

    async def run() -> Decision:
        running = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            return await act()
        finally:
            for task in running:
                task.cancel()

    return asyncio.run(run())


def test_what_is_decided_first_is_followed_at_the_start(
    board: SwitchBoard, workers: list[Worker]
) -> None:
    assert [worker.followed for worker in workers] == [[0], [0]]
    assert board.decision == Decision(0, None, 0)
    assert [board.count_loaded(place) for place in (0, 1)] == [2, 2]


def test_all_have_changed_once_it_is_answered(board: SwitchBoard, workers: list[Worker]) -> None:
    kept: list[Decision] = []
    decision = together(workers, lambda: workers[0].switch.switch_to(1, kept.append))
    assert decision == Decision(1, 0, 1)
    assert kept == [decision]
    assert [worker.followed for worker in workers] == [[0, 1], [0, 1]]
    assert board.decision == decision


def test_a_second_switch_remembers_the_first(workers: list[Worker]) -> None:
    async def twice() -> Decision:
        await workers[0].switch.switch_to(1, keep_nothing)
        return await workers[1].switch.switch_to(0, keep_nothing)

    assert together(workers, twice) == Decision(0, 1, 2)
    assert [worker.followed for worker in workers] == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("row", range(WORKERS))
def test_none_changes_if_one_can_not(board: SwitchBoard, workers: list[Worker], row: int) -> None:
    workers[row].broken = True
    kept: list[Decision] = []
    with pytest.raises(ModelNotUsable) as caught:
        together(workers, lambda: workers[0].switch.switch_to(1, kept.append))
    assert caught.value.facts["model"] == "neumo-b-1"
    assert [worker.followed for worker in workers] == [[0], [0]]
    assert board.decision == Decision(0, None, 0)
    assert kept == []
    workers[row].broken = False  # and once it can, they do
    decision = together(workers, lambda: workers[0].switch.switch_to(1, kept.append))
    assert decision.active == 1


def test_none_changes_if_the_choice_can_not_be_written_down(
    board: SwitchBoard, workers: list[Worker]
) -> None:
    def refuse(_: Decision) -> None:
        raise OSError("read-only")

    with pytest.raises(SwitchFailed) as caught:
        together(workers, lambda: workers[0].switch.switch_to(1, refuse))
    assert caught.value.facts["reason"] == "not_kept"
    assert [worker.followed for worker in workers] == [[0], [0]]
    assert board.decision.active == 0


def test_none_changes_if_one_does_not_answer_in_time(
    board: SwitchBoard, workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_switch, "_VOTE_LIMIT_S", 0.2)
    with pytest.raises(SwitchFailed) as caught:
        together(workers[:1], lambda: workers[0].switch.switch_to(1, keep_nothing))
    assert caught.value.facts["reason"] == "no_vote"
    assert workers[0].followed == [0]
    assert board.decision.active == 0


def test_a_worker_that_has_ended_is_not_waited_for(
    board: SwitchBoard, workers: list[Worker]
) -> None:
    board.processes.leave(1)
    decision = together(workers[:1], lambda: workers[0].switch.switch_to(1, keep_nothing))
    assert decision.active == 1


def test_a_worker_that_comes_later_begins_with_what_is_active(
    board: SwitchBoard, workers: list[Worker]
) -> None:
    together(workers, lambda: workers[0].switch.switch_to(1, keep_nothing))
    board.processes.leave(1)
    late = Worker(board, 1)
    assert not board.followed(1)
    late.load()
    assert late.followed == [1]
    assert board.followed(1)


@pytest.mark.usefixtures("workers")
def test_what_the_worker_before_answered_is_not_its_successors_answer(board: SwitchBoard) -> None:
    number = board.propose(1)
    for row in range(WORKERS):
        board.vote(row, number, can=True)
    assert board.votes(number) == [True, True]
    Worker(board, 1)
    assert board.votes(number) == [True, None]


def test_a_worker_that_can_not_follow_serves_no_more(board: SwitchBoard) -> None:
    worker = Worker(board, 0)
    worker.registry.load(0)
    board.decide(1)
    worker.switch.catch_up()
    assert (worker.failed, worker.followed) == (1, [])


def test_a_second_switch_at_once_is_refused(workers: list[Worker]) -> None:
    async def both() -> Decision:
        first = asyncio.create_task(workers[0].switch.switch_to(1, keep_nothing))
        await asyncio.sleep(0)
        with pytest.raises(SwitchInProgress):
            await workers[0].switch.switch_to(0, keep_nothing)
        return await first

    assert together(workers, both).active == 1


def test_to_name_the_active_one_changes_nothing(workers: list[Worker]) -> None:
    decision = together(workers, lambda: workers[0].switch.switch_to(0, keep_nothing))
    assert decision == Decision(0, None, 0)
    assert workers[0].followed == [0]


def test_a_bundle_has_one_hash_in_all_workers(board: SwitchBoard) -> None:
    assert board.pin(1, b"a" * 32)
    assert board.pin(1, b"a" * 32)
    assert not board.pin(1, b"b" * 32)
    assert board.pin(0, b"b" * 32)


def test_what_is_decided_survives_its_cell() -> None:
    for decision in (Decision(0, None, 0), Decision(15, 0, 70_000), Decision(3, 15, 1)):
        assert SwitchBoard(ProcessTable(1), 16, decision).decision == decision


def test_a_board_that_is_gone_leaves_no_open_file() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # those of other tests
    before = count()
    boards = [SwitchBoard(ProcessTable(1), 1, Decision(0, None)) for _ in range(20)]
    assert count() > before
    del boards
    gc.collect()
    assert count() == before
