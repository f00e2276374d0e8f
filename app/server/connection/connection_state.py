"""The states of a connection, by what is awaited of the client, and which may follow which.

A state's timer and what its end does stand in `app.server.connection.connection`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class State(Enum):
    """What a connection waits for.

    - `NEW`: the first byte. Closed after the head's time.
    - `IDLE`: the first byte of a later request. Closed after the keep-alive time.
    - `HEAD`: the end of a head. 408 after the head's time; of a first head it counts from the
      connection.
    - `BODY`: the end of the newest request's body. Timed by the application.
    - `ANSWERING`: an answer; nothing of a further request has come. Timed by the application.
    - `DISCARDING`: the end of a body that is answered already; then the connection goes on.
    - `ENDING`: the answers to what came, the last of them with `Connection: close`. What else
      comes is thrown away.
    - `LINGERING`: that the client closes. All is answered and our half is closed.
    - `CLOSING`: that the client takes what is written.
    - `CLOSED`: nothing.
    """

    NEW = "new"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    DISCARDING = "discarding"
    ENDING = "ending"
    LINGERING = "lingering"
    CLOSING = "closing"
    CLOSED = "closed"

    __hash__ = object.__hash__  # members are single; Enum's own hash is slow


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    state: frozenset(after)
    for state, after in {
        State.NEW: {State.HEAD, State.LINGERING, State.CLOSING, State.CLOSED},
        State.IDLE: {State.HEAD, State.LINGERING, State.CLOSING, State.CLOSED},
        State.HEAD: {
            State.BODY, State.DISCARDING, State.ENDING, State.LINGERING, State.CLOSING,
            State.CLOSED,
        },
        State.BODY: {
            State.ANSWERING, State.DISCARDING, State.ENDING, State.LINGERING, State.CLOSING,
            State.CLOSED,
        },
        State.ANSWERING: {
            State.IDLE, State.HEAD, State.ENDING, State.LINGERING, State.CLOSING, State.CLOSED,
        },
        State.DISCARDING: {State.IDLE, State.LINGERING, State.CLOSING, State.CLOSED},
        State.ENDING: {State.LINGERING, State.CLOSING, State.CLOSED},
        State.LINGERING: {State.CLOSING, State.CLOSED},
        State.CLOSING: {State.CLOSED},
        State.CLOSED: set[State](),
    }.items()
}  # fmt: skip
"""The states that may follow each."""

NOT_PARSED: Final = frozenset({State.ENDING, State.LINGERING, State.CLOSING, State.CLOSED})
"""Where nothing that comes is parsed."""
