"""``neumo predict``: read films in the terminal, without a server."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from app.cli.options import (
    language_option,
    model_option,
    read_said,
    read_settings,
    remark_on_settings,
    said_options,
)
from app.cli.read.film_files import check_place, list_files
from app.cli.terminal import follow, is_watched, open_console, write_whatever_the_terminal_lacks

if TYPE_CHECKING:
    from app.cli.read.film_results import Output, Result
    from app.language import Language

_STDOUT = Path("-")


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE|FOLDER|-...",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each film.")
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write a table for spreadsheets too; - writes it instead of all else.",
)
@said_options
@click.option(
    "--include",
    type=click.Choice(("uid",)),
    help="With --json: tell a DICOM file's SOP Instance UID.",
)
@language_option
@model_option
def command(
    files: tuple[Path, ...],
    as_json: bool,
    csv_path: Path | None,
    age: str | None,
    view: str | None,
    window: int | None,
    include: str | None,
    language: "Language",
    model: str | None,
) -> int:
    """Read films here, without a server: JPEG, PNG or DICOM, known by their content.

    Folders are walked, with the folders in them; - is standard input. On a terminal the answers
    are drawn. Elsewhere they are lines of plain text, or of JSON with --json; a film that can't be
    read is told on standard error, or with --json in its place.

    Exit code 1 if any film was not read.
    """
    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model)
    subject = read_said(age, view, language)
    listed = list_files(files)
    if csv_path == _STDOUT and as_json:
        raise click.UsageError("--json and --csv - both want standard output")
    if csv_path is not None and csv_path != _STDOUT:
        check_place(csv_path, "--csv", listed)
    remark_on_settings()

    from app.cli.read.film_results import read_films
    from app.cli.read.prediction_lines import CsvLines, JsonLines, PlainLines
    from app.cli.read.prediction_table import PredictionTable
    from app.errors import BundleError
    from app.machine import count_cpus
    from app.service.service import load_model_from, make_reader

    try:
        reader = make_reader(settings, load_model_from(settings))
    except BundleError as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return BundleError.exit_code
    results = read_films(
        listed,
        reader,
        subject,
        None if window is None else window - 1,
        settings.max_body_bytes,
        settings.threads or count_cpus(),
    )
    streamed = as_json or csv_path == _STDOUT
    watched = is_watched()
    with _opened(csv_path) as csv_file:
        outputs: list[Output] = [] if csv_file is None else [CsvLines(csv_file, language)]
        if as_json:
            outputs.append(JsonLines(language, with_uid=include == "uid"))
        elif watched and not streamed:
            outputs.append(PredictionTable(language, open_console()))
        elif not streamed:
            outputs.append(PlainLines(language))
        # Lines that stream over the terminal are progress enough, and would tear a bar.
        bar = not (watched and streamed)
        return _tell(follow(results, len(listed), shown=bar), outputs)


def _tell(results: "Iterable[Result]", outputs: "Sequence[Output]") -> int:
    """Tell each result in all the ways that were asked for; return the exit code."""
    told, failed, others = 0, 0, 0
    try:
        for result in results:
            if result.reading is None and result.error is None:
                others += 1
                continue
            told += 1
            failed += result.reading is None
            for output in outputs:
                output.add(result)
    finally:  # interrupted too: what was read is told
        for output in outputs:
            output.end()
    if others:
        click.echo(
            f"neumo: {others} other file(s) in the folders are neither JPEG, PNG nor DICOM, and "
            "were left out",
            err=True,
        )
    return 0 if told > failed == 0 else 1


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None or path == _STDOUT:
        yield None if path is None else sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.UsageError(f"--csv can't be written ({error.strerror})") from None
    with file:
        yield file
