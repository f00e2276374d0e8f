"""app.model.registry: several bundles by name, and what one of them failed with."""

from collections.abc import Callable

import pytest

from app.errors import BundleChanged, BundleHashMismatch, KnownAnswerWrong
from app.model.registry import Registry, name_of
from tests.models import FakeModel

NAMES = ("neumo-a-1", "neumo-b-1")


def failing(error: Exception) -> Callable[[str], FakeModel]:
    def load(_: str) -> FakeModel:
        raise error

    return load


class CheckedModel(FakeModel):
    """A model whose known answers can go wrong after it was loaded."""

    wrong = False

    def check_known_answers(self) -> None:
        if self.wrong:
            raise KnownAnswerWrong(bundle="neumo-a-1", index=0, difference=1.0, tolerance=0.1)


def test_bundles_are_found_by_their_folders_names_in_the_order_given() -> None:
    registry = Registry(("some/where/neumo-a-1", "neumo-b-1"), lambda _: FakeModel())
    assert [entry.name for entry in registry.entries] == list(NAMES)
    assert [registry.find(name) for name in (*NAMES, "neumo-c-1")] == [0, 1, None]


def test_a_name_is_its_folders_also_where_the_path_goes_up() -> None:
    assert name_of("models/../models/neumo-r18-3/") == "neumo-r18-3"


def test_a_bundle_is_loaded_once_from_where_it_lies() -> None:
    asked: list[str] = []

    def load(source: str) -> FakeModel:
        asked.append(source)
        return FakeModel()

    registry = Registry(("x/neumo-a-1", "neumo-b-1"), load)
    assert registry.load(0) is registry.load(0)
    assert asked == ["x/neumo-a-1"]


def test_what_a_bundle_failed_with_is_kept_until_it_is_mended() -> None:
    error = BundleHashMismatch(bundle="neumo-a-1", file="model.onnx")
    results: list[Exception | None] = [error, None]

    def load(_: str) -> FakeModel:
        result = results.pop(0)
        if result:
            raise result
        return FakeModel()

    registry = Registry(NAMES, load)
    with pytest.raises(BundleHashMismatch):
        registry.check(0)
    entry = registry.entries[0]
    assert (entry.model, entry.failure, entry.code) == (None, error, "bundle_hash_mismatch")
    registry.check(0)
    assert entry.model is not None
    assert (entry.failure, entry.code) == (None, None)


def test_what_is_no_bundle_error_has_a_code_too() -> None:
    registry = Registry(NAMES, failing(RuntimeError("no memory")))
    with pytest.raises(RuntimeError):
        registry.load(1)
    assert registry.entries[1].code == "load_failed"


def test_a_loaded_bundle_is_asked_for_its_known_answers_again() -> None:
    model = CheckedModel()
    registry = Registry(NAMES, lambda _: model)
    registry.check(0)
    registry.check(0)
    model.wrong = True
    with pytest.raises(KnownAnswerWrong):
        registry.check(0)
    assert registry.entries[0].code == "known_answer_wrong"


def test_a_bundle_that_another_process_knows_otherwise_is_refused() -> None:
    pinned: list[tuple[int, bytes]] = []

    def pin(place: int, digest: bytes) -> bool:
        pinned.append((place, digest))
        return False

    registry = Registry(NAMES, lambda _: FakeModel(), pin)
    with pytest.raises(BundleChanged):
        registry.load(1)
    assert registry.entries[1].model is None
    ((place, digest),) = pinned
    assert (place, len(digest)) == (1, 32)
