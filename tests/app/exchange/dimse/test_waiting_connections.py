"""app.exchange.dimse.waiting_connections: who says nothing gives way."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.exchange.dimse.waiting_connections import WaitingConnections

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Callable[[], Pair]]:
    """Make connections: the one that is waited for, and the caller's end of it."""
    with ExitStack() as opened:

        def make() -> Pair:
            own, other = socket.socketpair()
            return opened.enter_context(own), opened.enter_context(other)

        yield make


def is_ended(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_where_too_many_wait_the_oldest_gives_way(pair: Callable[[], Pair]) -> None:
    waiting = WaitingConnections(most=2, limit_s=60)
    pairs = [pair() for _ in range(3)]
    tickets = [waiting.enter(own) for own, _ in pairs]
    assert [is_ended(other) for _, other in pairs] == [True, False, False]
    assert [waiting.leave(ticket) for ticket in tickets] == [False, True, True]
    assert len(waiting) == 0


def test_who_waits_too_long_is_ended(pair: Callable[[], Pair]) -> None:
    own, other = pair()
    patient, hasty = WaitingConnections(2, limit_s=60), WaitingConnections(2, limit_s=-1)
    patient.enter(own)
    patient.end_late()
    assert not is_ended(other)
    ticket = hasty.enter(own)
    hasty.end_late()
    assert is_ended(other)
    assert not hasty.leave(ticket)


def test_who_has_left_is_not_ended(pair: Callable[[], Pair]) -> None:
    waiting = WaitingConnections(1, limit_s=60)
    (first, _), (second, other) = pair(), pair()
    assert waiting.leave(waiting.enter(first))
    waiting.enter(second)
    assert not is_ended(other)
