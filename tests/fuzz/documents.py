"""Files of an operator: keys, secrets, card, acceptance, choice. They are refused by a typed error.

A document is a valid one in which hypothesis replaced, dropped or added members; or damaged bytes.
"""

import copy
import json
import random
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, ValidationError

from app.access.key import Key
from app.access.key_file import change_keys, read_keys, read_secrets
from app.access.rates import RateTable
from app.errors import (
    AcceptanceMalformed,
    AcceptanceMismatch,
    AcceptancePriorsMismatch,
    AccessError,
    ChoiceUnusable,
)
from app.model.card import Card
from app.model.choice import Choice, read_choice
from app.model.measured.acceptance_search import find_acceptance
from app.records.diagnosis import Feedback, is_right
from tests.bundles import make_acceptance, make_card
from tests.fuzz.target import CANARY, Target, Wrong, damage_bytes, damaged, invented
from tests.models import FakeModel

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            CANARY.decode(),
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+14:00",
            "",
            "NaN",
            1e308,
        ]
    ),
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=3), max_leaves=8),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


_Edit = tuple[tuple[str | int, ...], Any, int]
"""Where, what instead, and how: 0 drops it, 1 adds a member, the others replace."""


_USED = ("upright_threshold", "certainty", "population", "priors", "known_answers")


class _Document(Target):
    """A file that is written to memory and read from there."""

    suffix = "json"
    strange_name: ClassVar[str] = "strange"
    """Of a member that is none of the document's; told, but where it may be a key."""

    def open(self) -> None:
        """Make a place for it."""
        memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in there
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self._folder.name) / "document"

    def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give documents of hypothesis, and one of five damaged."""
        whole = self.whole()
        edited = invented(_edited(json.loads(whole), self.strange_name), first, count)
        broken = damaged([whole], first, count, self._damage)
        for number, (invented_one, damaged_one) in enumerate(zip(edited, broken, strict=True)):
            yield damaged_one if number % 5 == 0 else invented_one

    def run(self, data: bytes) -> str:
        """Write it and read it."""
        self.path.write_bytes(data)
        self.path.chmod(0o600)
        return self.read(self.path)

    @abstractmethod
    def whole(self) -> bytes:
        """Return a valid document."""

    @abstractmethod
    def read(self, path: Path) -> str:
        """Read a document."""

    @staticmethod
    def _damage(whole: bytes, dice: random.Random) -> bytes:
        return damage_bytes(whole, dice, [b"NaN", b"Infinity", b"1e999", b"[" * 500, b"\xff\xfe"])


class KeyFiles(_Document):
    """What `neumo keys` writes. Who is let in by it can be asked for, and limited."""

    name = "keys"
    strange_name = CANARY.decode()

    def open(self) -> None:
        """Make a table of rates too."""
        super().open()
        self._rates = RateTable()

    def close(self) -> None:
        """Let go of it."""
        self._rates.close()
        super().close()

    def whole(self) -> bytes:
        """Return a file of two keys."""
        return _key_file()

    def read(self, path: Path) -> str:
        """Read it as the service does, and count a request of each key."""
        try:
            keys = read_keys(path)
        except AccessError as error:
            _check_words(str(error))
            return error.code
        for key in keys:
            caller = key.caller(None)
            _ = key.expires is not None and key.expires <= datetime.now(UTC)
            if caller.rate is not None and self._rates.take(caller.account, caller.rate) < 0:
                raise Wrong("a wait below nothing")
        return "read"


class SecretFiles(_Document):
    """Keys themselves, one a line."""

    name = "secrets"
    suffix = "txt"

    def whole(self) -> bytes:
        """Return a file of two."""
        return b"0123456789abcdef0123456789abcdef\n" + CANARY * 2 + b"\n"

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give damaged files."""
        return damaged([self.whole()], first, count, self._damage)

    def read(self, path: Path) -> str:
        """Read it as the service does."""
        try:
            keys = read_secrets(path)
        except AccessError as error:
            _check_words(str(error))
            return error.code
        if any("admin" in key.scopes for key in keys):
            raise Wrong("a secret administers")
        return "read"


class Cards(_Document):
    """``card.json``."""

    name = "card"

    def whole(self) -> bytes:
        """Return a valid one."""
        return json.dumps(make_card()).encode()

    def read(self, path: Path) -> str:
        """Validate it."""
        try:
            card = Card.model_validate_json(path.read_bytes())
        except ValidationError:
            return "refused"
        return _check_finite(card, "temperature", "operating_points", "distance_threshold", *_USED)


class Acceptances(_Document):
    """A hospital's acceptance."""

    name = "acceptance"

    def whole(self) -> bytes:
        """Return a valid one."""
        return json.dumps(make_acceptance()).encode()

    def read(self, path: Path) -> str:
        """Read it as the service does."""
        try:
            acceptance = find_acceptance(str(path), _model(), needed=True)
            assert acceptance is not None
        except AcceptanceMalformed as error:
            _check_words(str(error))
            return error.code
        except (AcceptanceMismatch, AcceptancePriorsMismatch) as error:
            return error.code
        return _check_finite(acceptance, "temperature", "certainty", "drift")


class Feedbacks(_Document):
    """The body of ``POST /feedback``."""

    name = "feedback"

    def whole(self) -> bytes:
        """Return a valid one."""
        return b'{"label": ["normal", "covid19"], "index": 0, "certainty": "probable"}'

    def read(self, path: Path) -> str:
        """Validate it."""
        try:
            feedback = Feedback.model_validate_json(path.read_bytes())
        except ValidationError:
            return "refused"
        if not feedback.truth or is_right("normal", feedback.truth) not in (True, False):
            raise Wrong("nothing is told")
        return _check_round_trip(feedback)


class Choices(_Document):
    """Which model was chosen."""

    name = "choice"

    def whole(self) -> bytes:
        """Return a valid one."""
        choice = Choice(
            active="neumo-r18-3",
            former=None,
            instead_of="neumo-r18-2",
            chosen_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return choice.model_dump_json().encode()

    def read(self, path: Path) -> str:
        """Read it as the service does."""
        try:
            choice = read_choice(path)
        except ChoiceUnusable as error:
            _check_words(str(error))
            return error.code
        return _check_round_trip(choice) if choice else "missing"


def _check_words(words: str) -> None:
    if CANARY[:6].decode() in words:
        raise Wrong("an input is quoted")


def _check_finite(document: BaseModel, *names: str) -> str:
    """See that what serving reckons with are numbers; figures that people read may be none."""
    told = json.dumps([document.model_dump(mode="json", include={name}) for name in names])
    if "NaN" in told or "Infinity" in told:
        raise Wrong("a number is none")
    return "read"


def _check_round_trip(document: BaseModel) -> str:
    """See that what was read can be written and read again."""
    again = type(document).model_validate_json(document.model_dump_json())
    if again.model_dump() != document.model_dump():
        raise Wrong("it is another one when it is read again")
    return "read"


@cache
def _model() -> FakeModel:
    return FakeModel()


@cache
def _key_file() -> bytes:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        made = [
            Key.create("radiology", frozenset({"predict"}), now, now.replace(year=2030))[0],
            Key.create("prometheus", frozenset({"metrics", "admin"}), now)[0].revoke(now),
        ]
        change_keys(path, lambda _: made)
        content = json.loads(path.read_bytes())
    for number, entry in enumerate(content["keys"]):  # the same in every run
        entry |= {"id": f"abcdefg{number}", "sha256": f"{number}" * 64}
    content["keys"][0] |= {"rate_per_s": 5.0, "burst": 10}
    return json.dumps(content).encode()


def _edited(whole: Any, strange: str) -> SearchStrategy[bytes]:  # noqa: ANN401 - any JSON
    """Return documents in which up to three members are others than they were."""
    places = st.lists(
        st.tuples(st.sampled_from(_places(whole)), _ODD, st.integers(0, 3)), max_size=3
    )
    return places.map(lambda edits: json.dumps(_edit(whole, edits, strange)).encode())


def _places(document: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401
    if isinstance(document, Mapping):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    else:
        return [at]
    return [
        *([at] if at else []),
        *(each for key, value in inner for each in _places(value, (*at, key))),
    ]


def _edit(whole: Any, edits: list[_Edit], strange: str) -> Any:  # noqa: ANN401
    document = copy.deepcopy(whole)
    for (*way, last), value, kind in edits:
        try:
            parent = document
            for key in way:
                parent = parent[key]
            if kind == 0:
                del parent[last]
            elif kind == 1 and isinstance(parent, dict):
                parent[strange] = value
            else:
                parent[last] = value
        except (LookupError, TypeError):
            continue  # an earlier edit removed the place
    return document
