"""training.asking.unseen: what two bundles may be compared on."""

from pathlib import Path

import pytest

from app.model.card import Card
from tests.bundles import make_card
from tests.training.drawings import write_data_set
from training.asking.unseen import find_unseen
from training.config import Config
from training.data.splits import describe_sources, divide_data
from training.release.remeasure import SourcesDiffer


def write_set(folder: Path, seed: int, source: str) -> Path:
    """Write a data set all of one source, whose patients are its own; return the manifest."""
    folder.mkdir()
    manifest = write_data_set(folder, train=16, test=1, seed=seed)
    text = manifest.read_text(encoding="utf-8")
    for name in "ab":
        text = text.replace(f",{name},CC0", f",{source},CC0")
    manifest.write_text(
        text.replace(",train-", f",{source}-train-").replace(",test-", f",{source}-test-")
    )
    return manifest


def fit_card(name: str, data: list[Path], seed: int) -> Card:
    """Return a card of a network that was trained on these data sets."""
    config = Config.model_validate({"name": name, "data": data, "seed": seed})
    division = divide_data(config)
    card = Card.model_validate(make_card())
    training = card.training.model_copy(
        update={
            "seed": seed,
            "data": describe_sources([*division.fit, *division.validation]),
            "settings": {"seed": seed, "validation_share": 0.125},
        }
    )
    return card.model_copy(update={"name": name, "training": training})


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    return [write_set(tmp_path / name, seed, name) for seed, name in enumerate(("one", "two"))]


def fitted_paths(card: Card, data: list[Path]) -> set[Path]:
    told = {"name": card.name, "data": data, "seed": card.training.seed}
    return {sample.path for sample in divide_data(Config.model_validate(told)).fit}


def test_unseen_by_one_is_its_own_validation(data: list[Path]) -> None:
    card = fit_card("first-1", data, 0)
    unseen, counts = find_unseen([card], data, None, None)
    told = Config.model_validate({"name": "first-1", "data": data, "seed": 0})
    assert {sample.path for sample in unseen} == {
        sample.path for sample in divide_data(told).validation
    }
    assert counts == {"first-1": len(fitted_paths(card, data))}


def test_unseen_by_two_is_what_neither_was_fitted_to(data: list[Path]) -> None:
    cards = [fit_card("first-1", data, 0), fit_card("second-1", data, 1)]
    unseen, _ = find_unseen(cards, data, None, None)
    paths = {sample.path for sample in unseen}
    assert paths
    for card in cards:
        assert not paths & fitted_paths(card, data)


def test_of_several_data_sets_those_count_that_a_card_is_of(data: list[Path]) -> None:
    # The first knows one set alone, so the whole other is unseen by it; the second knows both.
    first, second = fit_card("first-1", data[:1], 0), fit_card("second-1", data, 0)
    alone, counts = find_unseen([first], data, None, None)
    assert {sample.source for sample in alone} == {"one", "two"}
    assert sum(sample.source == "two" for sample in alone) == 4 * 16
    assert counts["first-1"] == len(fitted_paths(first, data[:1]))
    both, _ = find_unseen([first, second], data, None, None)
    paths = {sample.path for sample in both}
    assert not paths & fitted_paths(first, data[:1])
    assert not paths & fitted_paths(second, data)


def test_a_bundle_of_other_sources_has_seen_nothing(data: list[Path]) -> None:
    first = fit_card("first-1", data[:1], 0)
    unseen, counts = find_unseen([first], data[1:], None, None)
    assert len(unseen) == 4 * 16
    assert counts == {"first-1": 0}


def test_where_what_was_fitted_cant_be_told_it_stops(data: list[Path]) -> None:
    card = fit_card("first-1", data, 0)
    lines = data[0].read_text(encoding="utf-8").splitlines(keepends=True)
    data[0].write_text("".join(lines[:1] + lines[3:]), encoding="utf-8")
    with pytest.raises(SourcesDiffer):
        find_unseen([card], data, None, None)
