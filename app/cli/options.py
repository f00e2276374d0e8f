"""Settings from the command line: flags over the environment."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings.settings import Settings


def read_settings(options: argparse.Namespace) -> "Settings | None":
    """Read the settings from the environment, flags over them; None after saying what's wrong."""
    from pydantic import ValidationError

    from app.settings.settings import PREFIX, Settings

    given = {name: getattr(options, name, None) for name in Settings.model_fields}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = PREFIX + "_".join(map(str, fault["loc"])).upper()
            message = fault["msg"].removeprefix("Value error, ")
            sys.stderr.write(f"neumo: {name}: {message}\n")
        return None


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    from app.settings.settings import PREFIX, Settings

    for name, field in Settings.model_fields.items():
        text = f"{field.description} Over {PREFIX}{name.upper()}; default {field.default}."
        parser.add_argument("--" + name.replace("_", "-"), help=text)


def write_whatever_the_terminal_lacks() -> None:
    """Show a character that the terminal's encoding lacks as another, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
