"""The registry: the bundles that one process holds, by name; one of them reads what comes.

What a bundle failed with is kept beside its name, and told to whoever asks; it stands in nobody's
way until it is to become the active one.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.errors import BundleChanged, BundleError
from app.machine import resident_bytes
from app.model.bundle import find_bundle
from app.model.session import Model

Load = Callable[[str], Model]
"""Makes the model of a bundle, by its name or its folder's path; raises a `BundleError`."""

Pin = Callable[[int, bytes], bool]
"""Whether the bundle at a place has these 32 bytes as hash in every process that holds it."""


@runtime_checkable
class _Checked(Protocol):
    def check_known_answers(self) -> None:
        """Raise if an answer is not the card's."""


@dataclass(slots=True)
class Entry:
    """One bundle: its model, or what it failed with.

    Parameters
    ----------
    name : of its folder; what calls name it by
    source : as of `app.model.bundle.find_bundle`
    memory_bytes : resident memory that loading it took; 0 where it took none that shows
    """

    name: str
    source: str
    model: Model | None = None
    failure: Exception | None = None
    memory_bytes: int = 0

    @property
    def code(self) -> str | None:
        """What it failed with, as errors name it; None if it didn't."""
        if self.failure is None:
            return None
        return self.failure.code if isinstance(self.failure, BundleError) else "load_failed"


class Registry:
    """Bundles in a fixed order, the same in every process of a service.

    Parameters
    ----------
    sources : as of `app.model.bundle.find_bundle`, no two with one name
    pin : asked of each bundle once it is loaded
    """

    def __init__(self, sources: Sequence[str], load: Load, pin: Pin = lambda *_: True) -> None:
        self.entries = [Entry(name_of(source), source) for source in sources]
        self._load = load
        self._pin = pin
        self._lock = threading.Lock()

    def find(self, name: str) -> int | None:
        """Return the place of the bundle of that name; None if there is none."""
        return next((at for at, each in enumerate(self.entries) if each.name == name), None)

    def load(self, place: int) -> Model:
        """Return the model at a place, loaded if it isn't; what it fails with is kept, and raised.

        Raises
        ------
        BundleError
            `BundleChanged` if another process holds another bundle of this name.
        """
        with self._lock:
            entry = self.entries[place]
            if entry.model is None:
                before = resident_bytes()
                try:
                    entry.model = self._load_as_pinned(place)
                except Exception as error:
                    entry.failure = error
                    raise
                entry.memory_bytes = max(0, resident_bytes() - before)
                entry.failure = None
            return entry.model

    def check(self, place: int) -> None:
        """Load a bundle if it isn't, or else ask for its known answers once more.

        Raises
        ------
        BundleError
        """
        entry = self.entries[place]
        model = entry.model
        if model is None:
            self.load(place)
        elif isinstance(model, _Checked):
            try:
                model.check_known_answers()
            except Exception as error:
                entry.failure = error
                raise
            entry.failure = None

    def _load_as_pinned(self, place: int) -> Model:
        model = self._load(self.entries[place].source)
        # The card names the hashes of its graphs, so its own stands for the whole bundle.
        if not self._pin(place, hashlib.sha256(model.card_json).digest()):
            raise BundleChanged(bundle=self.entries[place].name)
        return model


def name_of(source: str) -> str:
    """Return what calls name a bundle by: its folder's name."""
    return find_bundle(source).resolve().name
