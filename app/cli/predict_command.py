"""``neumo predict``: read files in the terminal, without a server."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import read_settings
from app.language import Language, Text

if TYPE_CHECKING:
    from app.errors import RequestError
    from app.reading.reader import Reader
    from app.reading.reading import Reading

_UNCERTAIN = Text(" (uncertain)", " (dudoso)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the files, and how their Readings are written."""
    parser.set_defaults(run=_run)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one Reading or problem a line")
    parser.add_argument("--language", choices=("en", "es"), default="en")
    parser.add_argument("--model", help="bundle to use; over NEUMO_MODEL")


def _run(options: argparse.Namespace) -> int:
    from app.errors import BundleError
    from app.reading.reader import Reader
    from app.render.wording import NOTICE
    from app.service.service import load_model_from

    settings = read_settings(options)
    if settings is None:
        return 2
    try:
        model = load_model_from(settings)
    except BundleError as error:
        sys.stderr.write(f"neumo: {error.detail(options.language)}\n")
        return BundleError.exit_code
    reader = Reader(model, settings.limits, settings.label_priors)
    outcomes = [_read(reader, path, options) for path in options.files]
    if any(outcomes) and not options.json:
        sys.stdout.write(f"{NOTICE.render(options.language)}\n")
    return 0 if all(outcomes) else 1


def _read(reader: "Reader", path: Path, options: argparse.Namespace) -> bool:
    """Print one file's Reading to standard output, or why there is none to standard error."""
    from app.errors import RequestError

    begun_s = time.perf_counter()
    try:
        reading = reader.read(path.read_bytes())
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        return False
    except RequestError as error:
        if options.json:
            sys.stdout.write(_problem_line(error, options.language))
        else:
            sys.stderr.write(f"{path}: {error.detail(options.language)}\n")
        return False
    if options.json:
        total_ms = (time.perf_counter() - begun_s) * 1000
        sys.stdout.write(_reading_line(reading, options.language, total_ms))
    else:
        sys.stdout.write(_describe(path, reading, options.language))
    return True


def _reading_line(reading: "Reading", language: Language, total_ms: float) -> str:
    from ulid import ULID

    from app.render.reading_json import render_reading

    answer = render_reading(reading, str(ULID()), language, total_ms)
    return answer.model_dump_json(exclude_none=True) + "\n"


def _problem_line(error: "RequestError", language: Language) -> str:
    from ulid import ULID

    from app.render.problem import render_problem

    return render_problem(error, str(ULID()), language).model_dump_json() + "\n"


def _describe(path: Path, reading: "Reading", language: Language) -> str:
    judgement, card = reading.judgement, reading.card
    doubt = _UNCERTAIN.render(language) if judgement.candidates else ""
    lines = [f"{path}: {card.display(judgement.label, language)}{doubt}"]
    lines += [
        f"  {card.display(label, language):<22}{share:7.1%}"
        for label, share in judgement.probabilities.items()
    ]
    return "\n".join(lines) + "\n"
