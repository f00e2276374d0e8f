"""What commands share: options, settings from flags over the environment, the terminal."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from app.language import Language
    from app.settings.settings import Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class SettingsWrong(click.ClickException):
    """Settings out of bounds, by name and what is wrong with each; not by value."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Write a line for each."""
        click.echo(self.message, err=True)


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
        lines = []
        for fault in error.errors(include_url=False):
            name = PREFIX + "_".join(map(str, fault["loc"])).upper()
            message = fault["msg"].removeprefix("Value error, ")
            # What several say together has no place, and names them itself.
            lines.append(f"neumo: {name}: {message}" if fault["loc"] else f"neumo: {message}")
        raise SettingsWrong("\n".join(lines)) from None


def remark_on_settings() -> None:
    """Say on stderr what in the environment looks like a setting and is none."""
    from app.settings.settings import remark_on

    for remark in remark_on(os.environ):
        click.echo(f"neumo: {remark}", err=True)


def setting_options() -> list[click.Option]:
    """Return an option for every setting."""
    from app.settings.settings import PREFIX, Settings

    return [
        click.Option(
            ["--" + name.replace("_", "-")],
            help=f"{field.description} Over {PREFIX}{name.upper()}; default {field.default}.",
        )
        for name, field in Settings.model_fields.items()
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
        "--model", metavar="NAME|FOLDER", help="The bundle to use; over NEUMO_MODEL."
    )(function)


def find_language() -> "Language":
    """Return the language of the environment: the first of three variables that is set (POSIX)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return "es" if os.environ[name].lower().startswith("es") else "en"
    return "en"


def write_whatever_the_terminal_lacks() -> None:
    """Show a character that the terminal's encoding lacks as another, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
