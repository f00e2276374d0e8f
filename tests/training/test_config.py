"""training.config: recipes, and the command line over them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.model.labels import LABEL_IDS
from training import recipe as recipes
from training.config import LABELS, Config
from training.recipe import load_config

RECIPES = sorted(recipes.RECIPES.glob("*.toml"))


def refused(recipe: Path | None, **settings: object) -> set[str]:
    """Return the names of the settings that were refused."""
    with pytest.raises(ValidationError) as caught:
        load_config(recipe, settings)
    return {str(fault["loc"][0]) for fault in caught.value.errors()}


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_is_a_recipe() -> None:
    assert "neumo-r18-2.toml" in [path.name for path in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_the_project_names_the_bundle_it_is_called_after(recipe: Path) -> None:
    config = load_config(recipe, {"data": "manifest.csv"})
    assert config.name == recipe.stem


def test_a_recipe_of_the_project_is_known_by_its_name_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"data": "manifest.csv"}
    recipe = RECIPES[0]
    assert load_config(Path(recipe.name), settings) == load_config(recipe, settings)
    Path(recipe.name).write_text('name = "mine-1"')
    assert load_config(Path(recipe.name), settings).name == "mine-1"
    with pytest.raises(FileNotFoundError):
        load_config(Path("elsewhere") / recipe.name, settings)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_the_project_states_what_the_card_must_say(recipe: Path) -> None:
    config = load_config(recipe, {"data": "manifest.csv"})
    assert len(config.limitations) > 0
    assert "not stated" not in (config.licence, config.intended_use)


def test_a_recipe_sets_what_the_command_line_leaves_out(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = "x"\nepochs = 3\nlimitations = ["one"]')
    config = load_config(recipe, {"epochs": None})
    assert (config.name, config.data, config.epochs) == ("a-1", [Path("x")], 3)
    assert config.limitations == ["one"]


def test_a_recipe_lists_the_images_to_leave_out(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = "x"\nleave_out = ["a.png", "b/c.png"]')
    assert load_config(recipe, {}).leave_out == ["a.png", "b/c.png"]


def test_settings_of_the_command_line_become_what_they_are(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = "x"\nema_decay = 0.9')
    given = {"small_epochs": "2", "small_side_px": "64", "patience": "3", "label_smoothing": "0.1"}
    config = load_config(recipe, given | {"ema_decay": "0"})
    assert (config.small_epochs, config.small_side_px, config.patience) == (2, 64, 3)
    assert (config.label_smoothing, config.ema_decay) == (0.1, 0)


def test_the_command_line_wins_over_a_recipe(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = "x"\nepochs = 3')
    config = load_config(recipe, {"epochs": "7", "name": "b-2"})
    assert (config.name, config.data, config.epochs) == ("b-2", [Path("x")], 7)


def test_data_is_one_data_set_or_several(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = ["x", "y"]')
    assert load_config(recipe, {}).data == [Path("x"), Path("y")]
    assert load_config(recipe, {"data": [Path("z")]}).data == [Path("z")]
    assert load_config(None, {"name": "a-1", "data": "x"}).data == [Path("x")]
    assert refused(None, name="a-1", data=[]) == {"data"}


def test_small_images_are_no_larger_than_the_others() -> None:
    settings: dict[str, object] = {"name": "a-1", "data": "x", "epochs": 2, "side_px": 96}
    assert load_config(None, settings).side_px == 96  # no epoch is small
    with pytest.raises(ValidationError, match="small_side_px is more than side_px"):
        load_config(None, settings | {"small_epochs": 1})


def test_a_bundle_teaches_images_of_sources_that_are_named_and_alone() -> None:
    settings: dict[str, object] = {"name": "a-1", "data": "x"}
    bundle, sources = {"teacher_bundle": "neumo-r18-2"}, {"teacher_sources": ["a"]}
    config = load_config(None, settings | bundle | sources)
    assert (config.teacher_bundle, config.teacher_share) == (Path("neumo-r18-2"), 0.5)
    for lacking in (bundle, sources):
        with pytest.raises(ValidationError, match="need one another"):
            load_config(None, settings | lacking)
    with pytest.raises(ValidationError, match="exclude one another"):
        load_config(None, settings | bundle | sources | {"teachers": 1})


def test_no_recipe_is_needed() -> None:
    assert load_config(None, {"name": "a-1", "data": "x"}) == Config(name="a-1", data=[Path("x")])


def test_every_refinement_of_a_run_is_off_until_it_is_asked_for() -> None:
    config = load_config(None, {"name": "a-1", "data": "x"})
    assert (config.small_epochs, config.patience, config.leave_out) == (0, 0, [])
    assert (config.label_smoothing, config.ema_decay) == (0, 0)
    assert (config.sampling_power, config.epoch_images, config.keep) == (1, 0, "best")
    assert (config.side_px, config.amplitude_mixing, config.teacher_bundle) == (224, 0, None)


def test_every_setting_tells_what_it_is_for() -> None:
    assert all(field.description for field in Config.model_fields.values())


def test_an_unknown_setting_in_a_recipe_is_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 'name = "a-1"\ndata = "x"\nlearning-rate = 1e-3')
    assert refused(recipe) == {"learning-rate"}


def test_a_missing_name_and_data_are_refused() -> None:
    assert refused(None) == {"name", "data"}


@pytest.mark.parametrize("name", ["neumo", "neumo-", "neumo-r18-x", "../neumo-1", "-1", "Neumo-1"])
def test_a_name_that_does_not_end_in_a_number_or_names_no_folder_is_refused(name: str) -> None:
    assert refused(None, name=name, data="x") == {"name"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("strategy", "thaw"),
        ("epochs", "0"),
        ("epochs", "many"),
        ("batch_size", "1"),
        ("learning_rate", "0"),
        ("small_epochs", "-1"),
        ("small_side_px", "63"),
        ("small_side_px", "225"),
        ("patience", "-1"),
        ("side_px", "225"),
        ("side_px", "32"),
        ("side_px", "150"),
        ("keep", "first"),
        ("sampling_power", "1.1"),
        ("sampling_power", "-0.1"),
        ("epoch_images", "-1"),
        ("amplitude_mixing", "2"),
        ("other", "class"),
        ("teacher_share", "0"),
        ("augmentation", "none"),
        ("class_weights", "inverse"),
        ("label_smoothing", "1"),
        ("ema_decay", "1"),
        ("head_factor", "0.5"),
        ("weight_decay", "-1"),
        ("warmup_share", "1"),
        ("validation_share", "0.5"),
        ("precision", "fp64"),
        ("seed", "-1"),
        ("calibration_images", "3"),
        ("calibration_method", "mean"),
        ("leave_out", "0.png"),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(setting: str, value: str) -> None:
    assert refused(None, name="a-1", data="x", **{setting: value}) == {setting}


@pytest.mark.parametrize(
    ("settings", "rate"),
    [({}, 4e-4), ({"strategy": "frozen"}, 4e-3), ({"strategy": "frozen", "learning_rate": 1}, 1)],
)
def test_a_head_alone_learns_faster_unless_told_otherwise(
    settings: dict[str, object], rate: float
) -> None:
    assert load_config(None, {"name": "a-1", "data": "x"} | settings).learning_rate == rate


def test_no_more_epochs_can_be_small_than_there_are() -> None:
    with pytest.raises(ValidationError, match="small_epochs is more than epochs"):
        load_config(None, {"name": "a-1", "data": "x", "epochs": 2, "small_epochs": 3})


def test_a_recipe_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1"):
        load_config(write_recipe(tmp_path, "name: a-1"), {})


def test_the_version_is_the_number_of_the_name() -> None:
    assert load_config(None, {"name": "neumo-r18-12", "data": "x"}).version == "12"


def test_the_run_and_the_bundle_have_a_folder_of_the_name_each() -> None:
    config = load_config(None, {"name": "a-1", "data": "x", "runs": "r", "out": "o"})
    assert (config.run_folder, config.bundle_folder) == (Path("r/a-1"), Path("o/a-1"))


def test_the_labels_are_the_contracts_in_its_order() -> None:
    assert tuple(label.id for label in LABELS) == LABEL_IDS


def test_a_population_without_a_label_is_refused_before_the_training() -> None:
    ages = {label: [{"low": 1, "high": 90}] for label in LABEL_IDS}
    settings: dict[str, object] = {"name": "a-1", "data": "x"}
    whole = {"age_years": ages, "views": ["PA"]}
    assert load_config(None, settings | {"population": whole}).population is not None
    lacking = whole | {"age_years": {label: ages[label] for label in LABEL_IDS[:3]}}
    with pytest.raises(ValidationError, match="age_years has not one entry for each label"):
        load_config(None, settings | {"population": lacking})
