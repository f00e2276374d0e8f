"""training.sweep.search_space: what may be searched for, and what is drawn of it."""

from pathlib import Path

import optuna
import pytest
from pydantic import ValidationError

from tests.training.networks import make_config
from training.config import Config
from training.sweep.search_space import SPACES, SearchSpace, SpaceUnusable, read_space

FIXED = make_config().model_dump(exclude_unset=True)


def write(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.toml")), ids=lambda path: path.name)
def test_a_space_that_comes_with_neumo_is_known_by_its_name_and_fits_any_recipe(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = read_space(Path(path.name))
    assert space == read_space(path)
    space.check(FIXED)
    for _ in range(20):
        drawn = space.suggest(optuna.create_study().ask())
        Config.model_validate(FIXED | drawn)


def test_ranges_are_drawn_within_their_bounds_and_of_their_kind() -> None:
    space = SearchSpace.model_validate(
        {
            "space": {
                "epochs": {"low": 2, "high": 6, "step": 2},
                "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
                "label_smoothing": {"low": 0.0, "high": 0.2, "step": 0.1},
                "augmentation": ["basic", "full"],
            }
        }
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(60)]
    assert {each["epochs"] for each in drawn} == {2, 4, 6}
    assert {round(float(each["label_smoothing"]), 6) for each in drawn} == {0, 0.1, 0.2}
    assert {each["augmentation"] for each in drawn} == {"basic", "full"}
    rates = [float(each["learning_rate"]) for each in drawn]
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    assert 15 < sum(rate < 1e-3 for rate in rates) < 45  # half of them, on a log scale


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "space: Field required"),
        ("[space]", "space: Dictionary should have at least 1 item"),
        ("[space]\nrate = [1, 2]", "rate is no setting"),
        ("[space]\nseed = [1, 2]", "seed can't be searched for"),
        ("[space]\nvalidation_share = [0.1, 0.2]", "validation_share can't be searched for"),
        ("[space]\naugmentation = ['full']", "augmentation wants two choices or more"),
        ("[space]\naugmentation = ['full', 'full']", "augmentation wants two choices or more"),
        ("[space]\nepochs = {low = 1.5, high = 3.0}", "epochs is of whole numbers"),
        ("[space]\nepochs = {low = 3, high = 3}", "high is not above low"),
        ("[space]\nhead_factor = {low = 0.0, high = 1.0, log = true}", "log wants low above 0"),
        ("objective = 'test'\n[space]\nepochs = {low = 1, high = 3}", "objective: Input should be"),
        ("space =", "Invalid value"),
    ],
)
def test_what_can_not_be_searched_for_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpaceUnusable) as caught:
        read_space(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_bound_that_its_setting_may_not_have_is_refused_before_any_trial(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, "[space]\nepochs = {low = 1, high = 5000}"))
    with pytest.raises(ValidationError, match="epochs"):
        space.check(FIXED)
