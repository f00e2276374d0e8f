"""``neumo accept``: measure the model on a hospital's own films, and write the acceptance file.

Nothing leaves the machine, nothing is logged, and no file is named: faults are told by row.
"""

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import (
    language_option,
    model_option,
    read_settings,
    remark_on_settings,
)
from app.cli.terminal import follow, is_watched, write_whatever_the_terminal_lacks
from app.language import Text

if TYPE_CHECKING:
    from app.language import Language

_WRITTEN = Text(
    "Written. Serve with it by NEUMO_ACCEPTANCE, the path of the file.",
    "Escrito. Para usarlo, indique la ruta del archivo en NEUMO_ACCEPTANCE.",
)
_NOT_WRITTEN = Text(
    "Nothing was written: --out FILE writes the file that NEUMO_ACCEPTANCE takes.",
    "No se escribió nada: --out FILE escribe el archivo que se indica en NEUMO_ACCEPTANCE.",
)
_NOT_WRITABLE = Text(
    "--out can't be written ({reason}).", "No se puede escribir el archivo de --out ({reason})."
)
_UNUSABLE = 2
_NOT_SHOWN = 1
_LONGEST_SITE = 100


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The films.")
@click.option("--label", help="Of all the films, where no folder or manifest tells it.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the acceptance file goes.",
)
@click.option("--site", help="Whose films, as answers will tell it; at most 100 signs.")
@click.option("--json", "as_json", is_flag=True, help="The file's content; also when piped.")
@language_option
@model_option
def command(
    data: Path,
    label: str | None,
    out: Path | None,
    site: str | None,
    as_json: bool,
    language: "Language",
    model: str | None,
) -> int:
    """Measure the model on a hospital's own films, and write the file that NEUMO_ACCEPTANCE takes.

    The data is a folder of <label>/<file>, a manifest.csv (path,label and, if known, patient,
    age_years, view), or with --label a folder of films that all have it ("only normals": --label
    normal). Labels: normal, covid19, bacterial_pneumonia, viral_pneumonia, several joined by |
    (one of these), or other (a finding that is none of the four).

    \b
    Exit codes:
      0  floors were fitted that hold here
      1  measured, but none could be shown to hold
      2  called wrongly, the films can't be used or the file can't be written
      3  the model can't be loaded
    """  # noqa: D301 - click's mark for lines that stay lines
    from app.acceptance.acceptance_run import NO_SITE, accept
    from app.acceptance.acceptance_text import describe_acceptance
    from app.acceptance.films import list_films
    from app.errors import BundleError, FilmsUnusable
    from app.render.wording import NOTICE
    from app.service.service import load_model_from

    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model)
    site = (site or "").strip() or NO_SITE
    _check(out, site)
    remark_on_settings()
    try:
        films = list_films(data, label)
        loaded = load_model_from(settings)
        acceptance = accept(
            follow(films, len(films), shown=True),
            loaded,
            settings.limits,
            settings.label_priors,
            site,
        )
        content = json.dumps(acceptance.model_dump(mode="json"), indent=1) + "\n"
        if out is not None:
            _write(out, content)
    except FilmsUnusable as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return _UNUSABLE
    except BundleError as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return BundleError.exit_code
    except OSError as error:
        told = _NOT_WRITABLE.render(language, reason=error.strerror)
        click.echo(f"neumo: {told}", err=True)
        return _UNUSABLE
    if as_json or not is_watched():
        click.echo(content, nl=False)
    else:
        width = shutil.get_terminal_size().columns
        ending = _NOT_WRITTEN if out is None else _WRITTEN
        paragraphs = [textwrap.fill(text.render(language), width) for text in (ending, NOTICE)]
        table = describe_acceptance(acceptance, loaded.card, language, width)
        click.echo("\n\n".join([table.rstrip(), *paragraphs]))
    return 0 if acceptance.certainty is not None else _NOT_SHOWN


def _check(out: Path | None, site: str) -> None:
    """Find what is wrong with the call before films are read for minutes."""
    if len(site) > _LONGEST_SITE or not site.isprintable():
        raise click.UsageError(f"--site takes at most {_LONGEST_SITE} printable signs")
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise click.UsageError("--out names no file in a folder that is there")


def _write(out: Path, content: str) -> None:
    """Write the file whole or not at all: a service may be starting with the one before."""
    beside = out.with_name(out.name + ".part")
    beside.write_text(content, encoding="ascii")
    beside.replace(out)
