"""Recipes: settings of a run in a TOML file, overruled by the command line."""

import tomllib
from pathlib import Path
from typing import Final

from training.config import Config

RECIPES: Final = Path(__file__).parent / "recipes"
"""The folder of the recipes that come with the package."""


def load_config(recipe: Path | None, overrides: dict[str, object]) -> Config:
    """Read a recipe and lay `overrides` (those not None) over it.

    A bare name that is no file here means one of `RECIPES`, so a card's command works anywhere.

    Raises
    ------
    pydantic.ValidationError
        If a value is missing, unknown or out of bounds.
    OSError, ValueError
        If the recipe can't be read, or is no TOML.
    """
    return Config.model_validate(read_values(recipe, overrides))


def read_values(recipe: Path | None, overrides: dict[str, object]) -> dict[str, object]:
    """Return the settings that a recipe and `overrides` give, unchecked, as of `load_config`.

    Raises
    ------
    OSError, ValueError
        If the recipe can't be read, or is no TOML.
    """
    values: dict[str, object] = {}
    if recipe is not None:
        if recipe.name == str(recipe) and not recipe.exists() and (RECIPES / recipe).exists():
            recipe = RECIPES / recipe
        values.update(tomllib.loads(recipe.read_text(encoding="utf-8")))
    values.update({key: value for key, value in overrides.items() if value is not None})
    return values
