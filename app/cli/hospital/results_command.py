"""``neumo results``: what would be filed of a film in a PACS, as files."""

from datetime import UTC, datetime
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
from app.cli.read.film_files import STDIN, list_files, read_file, shown
from app.cli.terminal import write_whatever_the_terminal_lacks

if TYPE_CHECKING:
    from app.language import Language
    from app.render.hospital.result_set import Kind, Result

_ENDINGS = {"sr": ".sr.dcm", "sc": ".sc.dcm", "fhir": ".fhir.json", "hl7": ".hl7"}
_FILM_ONLY = "FILE is a folder: neumo results takes one film"
_NEEDS_EXTRA = "results are made by the extra hospital: pip install 'neumo[hospital]'"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE|-")
@click.option(
    "--out",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    required=True,
    metavar="FOLDER",
    help="Where the files go; they are named by the UID of the result.",
)
@click.option(
    "--only",
    type=click.Choice(("sr", "sc", "fhir", "hl7")),
    multiple=True,
    help="Make this kind only; may be said twice.",
)
@said_options
@language_option
@model_option
def command(
    file: Path,
    out: Path,
    only: "tuple[Kind, ...]",
    age: str | None,
    view: str | None,
    window: int | None,
    language: "Language",
    model: str | None,
) -> int:
    """Write what would be filed of a DICOM film: a structured report, a picture, FHIR, HL7.

    A DICOM SR (TID 1500), a Secondary Capture of the film with its map, a FHIR R4
    transaction and an HL7 v2 message (ORU^R01).
    They name the patient, as the film does: keep them where the film may be kept. Nothing is sent.
    The files are told on standard output, a line each. A film that is refused gets no result, and
    exit code 1.
    """
    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model)
    subject = read_said(age, view, language)
    if file != STDIN and file.is_dir():
        raise click.UsageError(_FILM_ONLY)
    (film,) = list_files([file])
    remark_on_settings()
    try:
        from app.render.hospital.result_set import KINDS, make_results
        from app.render.hospital.source_image import read_source_image
    except ModuleNotFoundError:
        raise click.UsageError(_NEEDS_EXTRA) from None

    from app.errors import BundleError, NeumoError
    from app.service.service import load_model_from, make_reader

    try:
        reader = make_reader(settings, load_model_from(settings))
        data = read_file(film, settings.max_body_bytes)
        reading = reader.read(data, subject, None if window is None else window - 1)
        source = read_source_image(data)
    except BundleError as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return BundleError.exit_code
    except NeumoError as error:
        click.echo(f"{shown(file)}: {error.detail(language)}", err=True)
        return 1
    kinds = only or KINDS
    for result in make_results(reading, source, language, datetime.now(UTC), kinds):
        click.echo(shown(_write(out, result)))
    return 0


def _write(out: Path, result: "Result") -> Path:
    """Write one file, for its owner only: it names the patient."""
    path = out / f"{result.uid}{_ENDINGS[result.kind]}"
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(result.data)
    except OSError as error:
        raise click.UsageError(f"--out can't be written ({error.strerror})") from None
    return path
