"""The command ``neumo``: which commands there are, and how a call ends.

A command is a module that holds a `click.Command` called `command`, which returns an exit code.
`COMMANDS` names it; its module is imported when it is called, and imports what it needs when it
runs: a health check every few seconds must load neither ONNX Runtime nor rich.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

import click

COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "predict": ("app.cli.read.predict_command", "Read films here, without a server."),
        "explain": ("app.cli.read.explain_command", "Draw where in a film the answer comes from."),
        "accept": ("app.cli.read.accept_command", "Measure the model on a hospital's own films."),
        "score": ("app.cli.archive.score_command", "Read an archive of films into Parquet files."),
        "results": (
            "app.cli.hospital.results_command",
            "Write what is filed of a film in a PACS: SR, picture, FHIR.",
        ),
        "receive": (
            "app.cli.hospital.receive_command",
            "Take films over DICOM, read them, send results back.",
        ),
        "outbox": (
            "app.cli.hospital.outbox_command",
            "Show, retry and drop what waits to be read or sent.",
        ),
        "reconcile": (
            "app.cli.hospital.reconcile_command",
            "Fetch the films that an archive forgot to send.",
        ),
        "serve": ("app.cli.run.serve_command", "Answer over HTTP until told to stop."),
        "health": ("app.cli.run.health_command", "Ask a running service how it is."),
        "doctor": ("app.cli.run.doctor_command", "Look at all that a service needs."),
        "keys": ("app.cli.admin.keys_command", "Make, list and revoke the keys that callers show."),
        "audit": ("app.cli.admin.audit_command", "Check and export the audit trail."),
        "model": ("app.cli.admin.model_command", "Show what the model says of itself."),
        "models": ("app.cli.admin.models_command", "List, switch and sign models."),
        "settings": ("app.cli.run.settings_command", "List every setting."),
    }
)
"""Name: module, and what stands of it in ``neumo --help``. In the order that help lists them."""

USAGE: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done",
        1: "refused: a film that was not read, a service that is not healthy, a check that "
        "failed, an audit trail that is not whole, or an acceptance that shows nothing to rely on",
        USAGE: "called wrongly; a setting out of bounds, or callers whom nobody asks for a key",
        3: "the model can't be served, the audit trail or the exchange can't be kept or read, or "
        "another package hides Neumo's own",
        4: "the port can't be had",
        INTERRUPTED: "interrupted",
        BROKEN_PIPE: "whoever read the output stopped reading",
    }
)


class Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is called."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Import the command of a name; None if there is none."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name][0]).command
        return command

    def invoke(self, context: click.Context) -> int | None:
        """Run the command that was called. Click would tell a broken pipe as 1, refused."""
        try:
            code: int | None = super().invoke(context)
            sys.stdout.flush()
        except BrokenPipeError:
            _give_up_output()
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        return code

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the table says: no command is imported to be listed."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the exit codes mean."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


def _tell_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from app import __version__

        click.echo(f"neumo {__version__}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
def neumo() -> None:
    """Read chest X-rays. Decision support, not a diagnosis and not a medical device."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code, one of `EXIT_CODES`."""
    try:
        code: int | None = neumo.main(arguments, prog_name="neumo", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return code or 0


def _give_up_output() -> None:
    """Let what is still buffered go nowhere, or Python would fail on it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
