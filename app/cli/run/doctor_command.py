"""``neumo doctor``: look at all that a service needs, before it serves or when it doesn't."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from app.cli.options import SettingsWrong, read_settings, setting_options
from app.cli.terminal import is_watched, open_console, write_whatever_the_terminal_lacks

if TYPE_CHECKING:
    from app.cli.checks.finding import Finding, Level

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_WORST: "Final[Sequence[Level]]" = ("fail", "warn", "ok")


def _examine(as_json: bool, **given: str | None) -> int:
    """Look at all that the service needs: settings, machine, model, port, audit trail, places.

    Takes the flags of neumo serve, and looks at what it would do with them.

    Exit code 1 if anything fails: a service would not start, or not last.
    """
    write_whatever_the_terminal_lacks()
    findings = _look(given)
    if as_json:
        told = {"level": _worst(findings), "findings": [asdict(each) for each in findings]}
        click.echo(json.dumps(told, indent=1))
    elif is_watched():
        _draw(findings)
    else:
        for each in findings:
            click.echo(f"{each.level:<4}  {each.check}: {each.text}")
            if each.advice:
                click.echo(f"      do: {each.advice}")
    return 1 if _worst(findings) == "fail" else 0


def _look(given: dict[str, str | None]) -> "list[Finding]":
    from app.cli.checks.access_checks import check_access
    from app.cli.checks.audit_checks import check_audit
    from app.cli.checks.certificate import check_certificate
    from app.cli.checks.finding import Finding
    from app.cli.checks.machine_checks import (
        check_clock,
        check_cpus,
        check_extras,
        check_installation,
        check_memory,
        check_open_files,
    )
    from app.cli.checks.model_checks import check_models
    from app.cli.checks.place_checks import (
        check_exchange,
        check_model_choice,
        check_port,
        check_temporary_files,
    )
    from app.cli.checks.settings_checks import check_settings

    found = [check_installation()]
    made = None
    try:
        settings = read_settings(**given)
    except SettingsWrong as error:
        advice = "Correct it; docs/settings.md, or neumo settings, tells what it takes."
        found += [Finding("settings", "fail", line, advice) for line in error.faults]
    else:
        found += check_settings(settings, os.environ)
        found += [check_cpus(settings), check_memory(settings)]
        of_models, made = check_models(settings)
        of_access = check_access(settings)
        found += [*of_models, of_access, check_port(settings)]
        if settings.tls_cert and of_access.level != "fail":
            found.append(check_certificate(settings.tls_cert, settings.tls_key))
        found.append(check_audit(settings))
        places = (
            check_temporary_files(settings),
            check_model_choice(settings),
            check_exchange(settings),
        )
        found += [each for each in places if each is not None]
    return [*found, check_open_files(), check_extras(), check_clock(os.environ, made)]


def _worst(findings: "Sequence[Finding]") -> "Level":
    return min((each.level for each in findings), key=_WORST.index)


def _draw(findings: "Sequence[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for each in findings:
        text = Text(each.text)
        if each.advice:
            text.append(f"\nDo: {each.advice}", style="bold")
        grid.add_row(
            Text(each.level, style=_COLOURS[each.level]), each.check.replace("_", " "), text
        )
    open_console().print(grid)


command = click.Command(
    "doctor",
    callback=_examine,
    params=[
        click.Option(["--json", "as_json"], is_flag=True, help="The findings as JSON."),
        *setting_options(hidden=True),
    ],
    help=_examine.__doc__,
)
