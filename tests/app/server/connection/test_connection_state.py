"""The table of a connection's states: every transition, and every state's timer."""

import asyncio
import itertools
from typing import Any

import pytest

from app.server.connection.connection_state import NOT_PARSED, TRANSITIONS, State
from tests.app.server.connection.test_connection import KEEP_ALIVE_S, WRITE_S, bench

HEAD_S = 10.0
LINGER_S = 5.0

TIMERS: dict[State, float | None] = {
    State.NEW: HEAD_S,
    State.IDLE: KEEP_ALIVE_S,
    State.HEAD: HEAD_S,
    State.BODY: None,
    State.ANSWERING: None,
    State.DISCARDING: LINGER_S,
    State.ENDING: None,
    State.LINGERING: LINGER_S,
    State.CLOSING: WRITE_S,
    State.CLOSED: None,
}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_state_is_in_the_table_and_leads_to_the_end() -> None:
    assert set(TRANSITIONS) == set(State) == set(TIMERS)
    for state in State:
        reached, new = set(), {state}
        while new:
            reached |= new
            new = {after for each in new for after in TRANSITIONS[each]} - reached
        assert State.CLOSED in reached
    ways = itertools.chain.from_iterable(TRANSITIONS.values())
    assert set(ways) == set(State) - {State.NEW}  # none is without a way in


def test_nothing_is_parsed_any_more_once_it_is_not() -> None:
    for state in NOT_PARSED:
        assert TRANSITIONS[state] <= NOT_PARSED


@pytest.mark.parametrize(("state", "after"), list(itertools.product(State, State)))
async def test_a_transition(state: State, after: State) -> None:
    """Those in the table set the new state's timer; all others are a mistake that is noticed."""
    async with bench() as it:
        connection: Any = it.connection
        before = connection._timer
        connection._state = state
        if after not in TRANSITIONS[state]:
            with pytest.raises(RuntimeError, match=f"from {state} to {after}"):
                connection._enter(after)
            assert connection._state is state
            assert connection._timer is before
            connection._state = State.NEW  # which can end
            return
        connection._enter(after)
        assert connection._state is after
        if TIMERS[after] is None:
            assert connection._timer is None
        elif (state, after) == (State.NEW, State.HEAD):
            assert connection._timer is before  # a first head is timed from the connection on
        else:
            assert connection._timer is not before
            seconds = connection._timer.when() - asyncio.get_running_loop().time()
            assert seconds == pytest.approx(TIMERS[after], abs=0.05)
        assert before.cancelled() == (connection._timer is not before)
        assert it.transport.closed == (after is State.CLOSING)
        connection._state = State.NEW
