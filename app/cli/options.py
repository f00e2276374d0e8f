"""What commands share: options, settings from flags over the environment."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from app.language import Language
    from app.reading.population import Subject
    from app.settings.settings import Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class SettingsWrong(click.ClickException):
    """Settings out of bounds: names, and what is wrong with each; no values."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Write a line for each."""
        for fault in self.faults:
            click.echo(f"neumo: {fault}", err=True)


def read_settings(**given: object) -> "Settings":
    """Read the settings from the environment, and over them what flags gave; None is nothing.

    Raises
    ------
    SettingsWrong
    """
    from pydantic import ValidationError

    from app.settings.settings import PREFIX, Settings

    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**flags)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False):
            name = PREFIX + "_".join(map(str, fault["loc"])).upper()
            message = fault["msg"].removeprefix("Value error, ")
            # What several say together has no place, and names them itself.
            faults.append(f"{name}: {message}" if fault["loc"] else message)
        raise SettingsWrong(faults) from None


def remark_on_settings() -> None:
    """Say on stderr what in the environment looks like a setting and is none."""
    from app.settings.settings import remark_on

    for remark in remark_on(os.environ):
        click.echo(f"neumo: {remark}", err=True)


class SettingOption(click.Option):
    """A flag over a variable of the environment."""


def setting_options(*, hidden: bool = False, without: Collection[str] = ()) -> list[click.Option]:
    """Return an option for every setting but some; `hidden` ones are taken, but not listed."""
    from app.settings.settings import PREFIX, Settings

    return [
        SettingOption(
            ["--" + name.replace("_", "-")],
            help=f"{field.description} Over {PREFIX}{name.upper()}; "
            f"default {'empty' if field.default == '' else field.default}.",
            hidden=hidden,
        )
        for name, field in Settings.model_fields.items()
        if name not in without
    ]


def language_option(function: Decorated) -> Decorated:
    """Add ``--language``, by default the one of the environment."""
    return click.option(
        "--language",
        type=click.Choice(("en", "es")),
        default=find_language,
        show_default="by LC_ALL, LC_MESSAGES or LANG",
        help="Of what is said of a film.",
    )(function)


def model_option(function: Decorated) -> Decorated:
    """Add ``--model``."""
    return click.option(
        "--model",
        metavar="NAME|FOLDER",
        shell_complete=_complete_bundles,
        help="The bundle to use; over NEUMO_MODEL.",
    )(function)


def _complete_bundles(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the bundles that Neumo keeps (`app.model.bundle.find_bundle`), and else folders."""
    package = Path(__file__).parents[1]
    folders = (package / "models", package.parent / "models")
    names = {card.parent.name for folder in folders for card in folder.glob("*/card.json")}
    offered = [CompletionItem(name) for name in sorted(names) if name.startswith(begun)]
    return offered or [CompletionItem(begun, type="dir")]


def said_options(function: Decorated) -> Decorated:
    """Add what is said of the films: ``--age``, ``--view``, ``--window``."""
    for option in (
        click.option(
            "--window",
            type=click.IntRange(min=1),
            metavar="N",
            help="Which VOI LUT or window of a DICOM file, from 1.",
        ),
        click.option("--view", help="Projection of the film(s): PA, AP or lateral."),
        click.option("--age", help="Age of the patient(s): years, or as DICOM's 061Y, 018M."),
    ):
        option(function)
    return function


def read_said(age: str | None, view: str | None, language: "Language") -> "Subject":
    """Read what flags say of the patient and the projection.

    Raises
    ------
    click.UsageError
    """
    from app.errors import InvalidParameter
    from app.reading.population import Subject
    from app.reading.subject_words import read_age_years, read_view

    try:
        return Subject(
            age_years=None if age is None else read_age_years(age),
            view=None if view is None else read_view(view),
        )
    except InvalidParameter as error:
        flag = {"age_years": "--age", "view": "--view"}[str(error.facts["parameter"])]
        told = InvalidParameter(**(error.facts | {"parameter": flag})).detail(language)
        raise click.UsageError(told) from None


def find_language() -> "Language":
    """Return the language of the environment: the first of three variables that is set (POSIX)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return "es" if os.environ[name].lower().startswith("es") else "en"
    return "en"
