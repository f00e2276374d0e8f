"""``neumo predict``: read files in the terminal, without a server."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from app.cli.options import (
    language_option,
    model_option,
    read_settings,
    remark_on_settings,
    write_whatever_the_terminal_lacks,
)
from app.language import Language, Text

if TYPE_CHECKING:
    from app.errors import NeumoError
    from app.reading.reader import Reader
    from app.reading.reading import Reading

_UNCERTAIN = Text(" (uncertain)", " (dudoso)")
_WHY = Text("  uncertain: {reason}", "  dudoso: {reason}")
_WARNINGS = Text("  warnings: {codes}", "  avisos: {codes}")


class Options(NamedTuple):
    """How Readings are made and written."""

    json: bool
    language: Language
    window: int | None
    include: str | None


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--json", "as_json", is_flag=True, help="One Reading or problem a line.")
@language_option
@click.option(
    "--window", type=int, metavar="N", help="Which VOI LUT or window of a DICOM file, from 1."
)
@click.option(
    "--include",
    type=click.Choice(("uid",)),
    help="With --json: tell a DICOM file's SOP Instance UID.",
)
@model_option
def command(
    files: tuple[Path, ...],
    as_json: bool,
    language: Language,
    window: int | None,
    include: str | None,
    model: str | None,
) -> int:
    """Read films here, without a server."""
    from app.errors import BundleError
    from app.render.wording import NOTICE
    from app.service.service import load_model_from, make_reader

    options = Options(as_json, language, window, include)
    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model)
    remark_on_settings()
    try:
        reader = make_reader(settings, load_model_from(settings))
    except BundleError as error:
        sys.stderr.write(f"neumo: {error.detail(options.language)}\n")
        return BundleError.exit_code
    readings = [_read(reader, path, options) for path in files]
    given = [reading for reading in readings if reading is not None]
    if given and not options.json:
        sys.stdout.write(_explain_warnings(given, options.language))
        sys.stdout.write(f"{NOTICE.render(options.language)}\n")
    return 0 if len(given) == len(readings) else 1


def _read(reader: "Reader", path: Path, options: Options) -> "Reading | None":
    """Print what is said of one file, or why nothing is; return its Reading if it was read."""
    from app.errors import FileUnreadable, NeumoError

    begun_s = time.perf_counter()
    try:
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise FileUnreadable(reason=reason) from None
        window = None if options.window is None else options.window - 1
        reading = reader.read(data, window=window)
    except NeumoError as error:
        if options.json:
            _write_line(path, _problem(error, options.language))
        else:
            sys.stderr.write(f"{_shown(path)}: {error.detail(options.language)}\n")
        return None
    if options.json:
        total_ms = (time.perf_counter() - begun_s) * 1000
        _write_line(path, _reading(reading, options, total_ms))
    else:
        sys.stdout.write(_describe(path, reading, options.language))
    return reading


def _write_line(path: Path, members: dict[str, object]) -> None:
    """Write one line of JSON in ASCII, which every terminal and pipe takes."""
    sys.stdout.write(json.dumps({"path": _text(path)} | members) + "\n")


def _reading(reading: "Reading", options: Options, total_ms: float) -> dict[str, object]:
    from ulid import ULID

    from app.render.reading_json import render_reading

    answer = render_reading(
        reading, str(ULID()), options.language, total_ms, with_uid=options.include == "uid"
    )
    return answer.model_dump(mode="json", exclude_none=True)


def _problem(error: "NeumoError", language: Language) -> dict[str, object]:
    from ulid import ULID

    from app.errors import RequestError
    from app.render.problem import render_problem

    if isinstance(error, RequestError):
        return render_problem(error, str(ULID()), language).model_dump()
    title = error.title.render(language)
    return {"title": title, "detail": error.detail(language), "code": error.code}


def _describe(path: Path, reading: "Reading", language: Language) -> str:
    from app.render.wording import REASONS

    judgement, card = reading.judgement, reading.card
    doubt = _UNCERTAIN.render(language) if judgement.status == "uncertain" else ""
    lines = [f"{_shown(path)}: {card.display(judgement.label, language)}{doubt}"]
    lines += [
        f"  {card.display(label, language):<22}{share:7.1%}"
        for label, share in judgement.probabilities.items()
    ]
    lines += [
        _WHY.render(language, reason=REASONS[code].render(language)) for code in judgement.reasons
    ]
    if judgement.warnings:
        lines.append(_WARNINGS.render(language, codes=", ".join(judgement.warnings)))
    return "\n".join(lines) + "\n"


def _explain_warnings(readings: "list[Reading]", language: Language) -> str:
    """Say once what the warnings of all the Readings mean."""
    from app.render.wording import WARNINGS

    codes = dict.fromkeys(code for each in readings for code in each.judgement.warnings)
    return "".join(f"{code}: {WARNINGS[code].render(language)}\n" for code in codes)


def _text(path: Path) -> str:
    """Return a path as text; bytes that are none in UTF-8 become replacement characters."""
    return os.fsencode(path).decode(errors="replace")


def _shown(path: Path) -> str:
    """Return a path for a terminal, on which a control character could do anything."""
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in _text(path)
    )
