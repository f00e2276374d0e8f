"""app.connection: how a body is gathered. What clients meet is specified in tests/e2e."""

from types import SimpleNamespace

from app.connection import Connection


def test_a_first_piece_of_a_body_is_not_copied_and_later_ones_are_appended_in_place() -> None:
    connection = Connection.__new__(Connection)
    connection._refused = connection._turned_away = False
    connection.parser = SimpleNamespace(should_upgrade=lambda: False)
    connection.cycle = SimpleNamespace(  # type: ignore[assignment]
        body=bytearray(), response_complete=False, message_event=SimpleNamespace(set=lambda: None)
    )
    first = b"x" * 1000
    connection.on_body(first)
    assert connection.cycle.body is first
    connection.on_body(b"y")
    gathered = connection.cycle.body
    connection.on_body(b"z")
    assert connection.cycle.body is gathered  # or many small pieces would take quadratic time
    assert gathered == first + b"yz"
