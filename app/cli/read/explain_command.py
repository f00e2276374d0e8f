"""``neumo explain``: the film and where in it the answer comes from, as a picture."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import (
    language_option,
    model_option,
    read_said,
    read_settings,
    remark_on_settings,
    said_options,
)
from app.cli.read.film_files import STDIN, check_place, list_files, read_file, shown
from app.cli.terminal import write_whatever_the_terminal_lacks

if TYPE_CHECKING:
    from app.language import Language
    from app.model.labels import LabelId

_LABELS = ("normal", "covid19", "bacterial_pneumonia", "viral_pneumonia")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE|-")
@click.option(
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Where the PNG goes; - is standard output.",
)
@click.option("--label", type=click.Choice(_LABELS), help="Whose map; the label called if missing.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Strength of the colours of a label of 100 %.",
)
@said_options
@language_option
@model_option
def command(
    file: Path,
    out: Path,
    label: "LabelId | None",
    alpha: float,
    age: str | None,
    view: str | None,
    window: int | None,
    language: "Language",
    model: str | None,
) -> int:
    """Draw the film, and beside it the class activation map of a label laid over it.

    The same picture as of POST /explain. What is said of the film is told on standard error, or on
    standard output if the picture goes to a file. Of normal no map is drawn unless --label asks
    for it: it is the absence of the three others, and has no place in the film.
    """
    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model)
    subject = read_said(age, view, language)
    if file != STDIN and file.is_dir():
        raise click.UsageError("FILE is a folder: neumo explain draws one film")
    (film,) = list_files([file])
    if out != STDIN:
        check_place(out, "--out", [film])
    elif sys.stdout.isatty():
        raise click.UsageError("--out - writes a picture, and standard output is a terminal")
    remark_on_settings()

    from app.cli.read.prediction_lines import describe, explain_warning
    from app.errors import BundleError, NeumoError
    from app.render.overlay import render_overlay
    from app.render.wording import NOTICE
    from app.service.service import load_model_from, make_reader

    try:
        reader = make_reader(settings, load_model_from(settings))
        data = read_file(film, settings.max_body_bytes)
        reading = reader.read(data, subject, None if window is None else window - 1)
        picture = render_overlay(reading, language, label, alpha)
        _write(out, picture)
    except BundleError as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return BundleError.exit_code
    except NeumoError as error:
        click.echo(f"{shown(file)}: {error.detail(language)}", err=True)
        return 1
    told = f"{shown(file)}: {describe(reading, language)}"
    for code in reading.judgement.warnings:
        told += f"{code}: {explain_warning(code, language)}\n"
    click.echo(f"{told}{NOTICE.render(language)}", err=out == STDIN)
    return 0


def _write(out: Path, picture: bytes) -> None:
    try:
        if out == STDIN:
            sys.stdout.buffer.write(picture)
        else:
            out.write_bytes(picture)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.UsageError(f"--out can't be written ({error.strerror})") from None
