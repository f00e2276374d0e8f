"""app.exchange.dimse.pdu_socket: so many bytes, in so long."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from app.exchange.dimse.pdu_socket import receive

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    own, other = socket.socketpair()
    with own, other:
        yield own, other


def test_bytes_that_come_in_parts_are_put_together(pair: Pair) -> None:
    own, other = pair
    other.sendall(b"abc")
    threading.Timer(0.05, other.sendall, [b"defgh"]).start()
    assert receive(own, 5, timeout_s=10) == b"abcde"
    assert receive(own, 3, timeout_s=10) == b"fgh"


def test_fewer_come_where_the_connection_ends(pair: Pair) -> None:
    own, other = pair
    other.sendall(b"abc")
    other.close()
    assert receive(own, 5, timeout_s=10) == b"abc"


def test_who_drips_is_not_waited_for_longer_than_who_is_silent(pair: Pair) -> None:
    own, other = pair
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            other.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    begun_s = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(own, 1_000_000, timeout_s=0.2)
    assert time.monotonic() - begun_s < 2
    stop.set()
    dripping.join()
