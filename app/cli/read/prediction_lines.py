"""What is said of films as lines: plain text, JSON, CSV. For pipes, files and other programs."""

import csv
import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from ulid import ULID

from app.cli.read.film_files import STDIN, shown, text_of
from app.cli.read.film_results import Result
from app.errors import NeumoError, RequestError
from app.language import Language, Text
from app.model.labels import LABEL_IDS
from app.render.problem import render_problem
from app.render.reading_json import render_reading
from app.render.wording import NOTICE, REASONS, WARNINGS

if TYPE_CHECKING:
    from app.reading.population import WarningCode
    from app.reading.reading import Reading

UNCERTAIN: Final = Text("uncertain", "dudoso")
_WHY: Final = Text("  uncertain: {reason}", "  dudoso: {reason}")
_WARNINGS: Final = Text("  warnings: {codes}", "  avisos: {codes}")
_FLAGS: Final = Text("Here: --age and --view.", "Aquí: --age y --view.")
_SIGNS_OF_FORMULAS: Final = ("=", "+", "-", "@")

COLUMNS: Final = (
    "path", "status", "label", *LABEL_IDS, "abnormal", "non_covid_pneumonia", "reasons",
    "warnings", "code", "detail", "format", "width", "height", "image_sha256", "model",
    "model_sha256",
)  # fmt: skip
"""Of the CSV file. `status` is ok, uncertain or not_read; `code` and `detail` say why not."""


class PlainLines:
    """Plain text on standard output, errors on standard error."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._told = False
        self._warnings: dict[WarningCode, None] = {}

    def add(self, result: Result) -> None:
        """Write a few lines, the first with the film's path."""
        language, path = self._language, shown(result.file.path)
        if result.error is not None:
            sys.stderr.write(f"{path}: {result.error.detail(language)}\n")
        if result.reading is None:
            return
        self._told = True
        judgement = result.reading.judgement
        self._warnings |= dict.fromkeys(judgement.warnings)
        sys.stdout.write(f"{path}: {describe(result.reading, language)}")

    def end(self) -> None:
        """Say once what the warnings mean, and what no answer is."""
        if not self._told:
            return
        for code in self._warnings:
            sys.stdout.write(f"{code}: {explain_warning(code, self._language)}\n")
        sys.stdout.write(f"{NOTICE.render(self._language)}\n")


def explain_warning(code: "WarningCode", language: Language) -> str:
    """Say what a warning means, and which flag mends it here."""
    told = WARNINGS[code].render(language)
    return f"{told} {_FLAGS.render(language)}" if code == "population_unknown" else told


def describe(reading: "Reading", language: Language) -> str:
    """Return a Reading as lines of plain text: label, shares, reasons, codes of warnings."""
    judgement, card = reading.judgement, reading.card
    doubt = f" ({UNCERTAIN.render(language)})" if judgement.status == "uncertain" else ""
    lines = [card.display(judgement.label, language) + doubt]
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


class JsonLines:
    """A line of JSON in ASCII, which every terminal and pipe takes, for each film.

    A Reading or a problem as over HTTP, and the path.

    Parameters
    ----------
    with_uid : whether a DICOM file's SOP Instance UID is told
    """

    def __init__(self, language: Language, *, with_uid: bool = False) -> None:
        self._language, self._with_uid = language, with_uid

    def add(self, result: Result) -> None:
        """Write the line."""
        members: dict[str, Any] = {"path": text_of(result.file.path)}
        if result.reading is not None:
            answer = render_reading(
                result.reading,
                str(ULID()),
                self._language,
                result.total_ms,
                with_uid=self._with_uid,
            )
            members |= answer.model_dump(mode="json", exclude_none=True)
        elif result.error is not None:
            members |= _problem(result.error, self._language)
        sys.stdout.write(json.dumps(members) + "\n")

    def end(self) -> None:
        """Say no more: every line has said it."""


def _problem(error: NeumoError, language: Language) -> dict[str, object]:
    if isinstance(error, RequestError):
        return render_problem(error, str(ULID()), language).model_dump()
    title = error.title.render(language)
    return {"title": title, "detail": error.detail(language), "code": error.code}


class CsvLines:
    """A CSV file (RFC 4180, UTF-8), written line by line."""

    def __init__(self, file: TextIO, language: Language) -> None:
        self._language = language
        self._writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def add(self, result: Result) -> None:
        """Write the row of one film."""
        path = text_of(result.file.path)
        if path.startswith(_SIGNS_OF_FORMULAS) and result.file.path != STDIN:
            path = f"./{path}"  # the same file, and nothing that a spreadsheet computes
        row: dict[str, object] = {"path": path, "status": "not_read"}
        if result.reading is not None:
            row |= _row(result.reading)
        elif result.error is not None:
            row |= {"code": result.error.code, "detail": result.error.detail(self._language)}
        self._writer.writerow(row)

    def end(self) -> None:
        """Say no more."""


def _row(reading: "Reading") -> dict[str, object]:
    judgement, facts = reading.judgement, reading.facts
    return {
        "status": judgement.status,
        "label": judgement.label,
        **{str(label): share for label, share in judgement.probabilities.items()},
        "abnormal": judgement.abnormal,
        "non_covid_pneumonia": judgement.non_covid_pneumonia,
        "reasons": ";".join(judgement.reasons),
        "warnings": ";".join(judgement.warnings),
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "image_sha256": facts.sha256,
        "model": reading.card.name,
        "model_sha256": reading.card.sha256,
    }
