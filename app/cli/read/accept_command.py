"""``neumo accept``: measure the model on a hospital's own films, and write the acceptance file.

Nothing leaves the machine, nothing is logged, and no file is named: faults are told by row.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from app.cli.options import read_settings, write_whatever_the_terminal_lacks
from app.language import Text

_EPILOG = """\
DATA is a folder of <label>/<file>, a manifest.csv (path,label and, if known, patient, age_years,
view), or with --label a folder of films that all have it ("only normals": --label normal).
Labels: normal, covid19, bacterial_pneumonia, viral_pneumonia, several joined by | (one of these),
or other (a finding that is none of the four).

Exit codes: 0 floors were fitted that hold here; 1 measured, but none could be shown to hold;
2 called wrongly, or the films can't be used or the file can't be written; 3 the model can't be
loaded.
"""
_WRITTEN = Text(
    "Written. Serve with it by NEUMO_ACCEPTANCE, the path of the file.",
    "Escrito. Para usarlo, indique la ruta del archivo en NEUMO_ACCEPTANCE.",
)
_NOT_WRITTEN = Text(
    "Nothing was written: --out FILE writes the file that NEUMO_ACCEPTANCE takes.",
    "No se escribió nada: --out FILE escribe el archivo que se indica en NEUMO_ACCEPTANCE.",
)
_UNUSABLE = 2
_NOT_SHOWN = 1
_LONGEST_SITE = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the films, what is known of them, and where the file goes."""
    parser.set_defaults(run=_run)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--data", type=Path, required=True, help="the films")
    parser.add_argument("--label", help="of all the films, where no folder or manifest tells it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the acceptance file goes")
    parser.add_argument("--site", help="whose films, as answers will tell it; at most 100 signs")
    parser.add_argument("--json", action="store_true", help="the file's content; also when piped")
    parser.add_argument("--language", choices=("en", "es"), default="en")
    parser.add_argument("--model", help="bundle to measure; over NEUMO_MODEL")


def _run(options: argparse.Namespace) -> int:
    from app.acceptance.acceptance_run import NO_SITE, accept
    from app.acceptance.acceptance_text import describe_acceptance
    from app.acceptance.films import list_films
    from app.errors import BundleError, FilmsUnusable
    from app.render.wording import NOTICE
    from app.service.service import load_model_from
    from app.settings.settings import remark_on

    write_whatever_the_terminal_lacks()
    settings = read_settings(options)
    site = (options.site or "").strip() or NO_SITE
    fault = _find_fault(options.out, site)
    if settings is None or fault:
        sys.stderr.write(f"neumo: {fault}\n" if fault else "")
        return _UNUSABLE
    for remark in remark_on(os.environ):
        sys.stderr.write(f"neumo: {remark}\n")
    try:
        films = list_films(options.data, options.label)
        model = load_model_from(settings)
        acceptance = accept(films, model, settings.limits, settings.label_priors, site)
        content = json.dumps(acceptance.model_dump(mode="json"), indent=1) + "\n"
        if options.out is not None:
            _write(options.out, content)
    except FilmsUnusable as error:
        sys.stderr.write(f"neumo: {error.detail(options.language)}\n")
        return _UNUSABLE
    except BundleError as error:
        sys.stderr.write(f"neumo: {error.detail(options.language)}\n")
        return BundleError.exit_code
    except OSError as error:
        sys.stderr.write(f"neumo: --out can't be written ({error.strerror})\n")
        return _UNUSABLE
    if options.json or not sys.stdout.isatty():
        sys.stdout.write(content)
    else:
        table = describe_acceptance(acceptance, model.card, options.language)
        ending = _NOT_WRITTEN if options.out is None else _WRITTEN
        told = (table.rstrip(), *(text.render(options.language) for text in (ending, NOTICE)))
        sys.stdout.write("\n\n".join(told) + "\n")
    return 0 if acceptance.certainty is not None else _NOT_SHOWN


def _find_fault(out: Path | None, site: str) -> str:
    """Say what is wrong with the call, before films are read for minutes."""
    if len(site) > _LONGEST_SITE or not site.isprintable():
        return f"--site takes at most {_LONGEST_SITE} printable signs"
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        return "--out names no file in a folder that is there"
    return ""


def _write(out: Path, content: str) -> None:
    """Write the file whole or not at all: a service may be starting with the one before."""
    beside = out.with_name(out.name + ".part")
    beside.write_text(content, encoding="ascii")
    beside.replace(out)
