"""``neumo settings``: every setting, what it is now, and what it means."""

import json
import re
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli.options import read_settings
from app.cli.terminal import is_watched, open_console, write_whatever_the_terminal_lacks

if TYPE_CHECKING:
    from app.settings.settings import Settings

_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+@")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Names, values, defaults and meanings.")
def command(as_json: bool) -> int:
    """List every setting: its variable, its value now, its default, what it means.

    Elsewhere than on a terminal it is the Markdown of docs/settings.md, which tells no values.
    """
    from app.settings.settings import describe_settings

    write_whatever_the_terminal_lacks()
    if as_json:
        click.echo(json.dumps(_list(read_settings()), indent=1))
    elif is_watched():
        _draw(read_settings())
    else:
        click.echo(describe_settings(), nl=False)
    return 0


def _list(settings: "Settings") -> list[dict[str, Any]]:
    from app.settings.settings import PREFIX, Settings

    return [
        {
            "variable": PREFIX + name.upper(),
            "flag": "--" + name.replace("_", "-"),
            "value": hide_password(getattr(settings, name)),
            "set": name in settings.model_fields_set,
            "default": hide_password(field.default),
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]


def hide_password(value: object) -> object:
    """Return a value as it may be shown: no secret, no password in an address."""
    if isinstance(value, bool | int | float | None):
        return value
    return _PASSWORD.sub("***@", str(value))


def _draw(settings: "Settings") -> None:
    from rich.console import Group, RenderableType
    from rich.padding import Padding
    from rich.text import Text

    rows: list[RenderableType] = []
    for each in _list(settings):
        title = Text()
        title.append(each["variable"], style="bold")
        title.append(" = ", style="dim")
        title.append(str(each["value"]) or '""', style="bold cyan" if each["set"] else "")
        if each["set"]:
            title.append(f"   (default {each['default']})", style="dim")
        rows += [title, Padding(Text(each["meaning"] or ""), (0, 0, 1, 4), expand=False)]
    open_console().print(Group(*rows))
