"""What is wrong with a data set: all of it told at once, counted, with where."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from app.errors import NeumoError
from app.language import Text

_SHOWN: Final = 5


class DataError(NeumoError):
    """The data set can't be trained on as it is."""

    code = "data_unusable"
    title = Text("The data set can't be used", "No se puede usar el conjunto de datos")
    advice = Text("{reason}", "{reason}")


class Faults:
    """What is wrong in single images, by reason: where, in order."""

    def __init__(self) -> None:
        self._places: defaultdict[str, list[str]] = defaultdict(list)

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note a DataError raised inside, and go on."""
        try:
            yield
        except DataError as error:
            self._places[str(error)].append(place)

    def lines(self) -> list[str]:
        """Return a line for each reason, with how many and where."""
        return [
            f"{len(places)} image(s): {reason}: {name_some(places)}"
            for reason, places in self._places.items()
        ]


def name_some(names: Sequence[str]) -> str:
    """Name the first few of many, for an error."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."
