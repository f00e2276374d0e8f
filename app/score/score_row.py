"""What is said of one film in one row: the same as `POST /predict` says of it."""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from app.errors import FileUnreadable, InternalError, NeumoError
from app.reading.population import Subject
from app.reading.reader import Film, Reader
from app.reading.subject_words import read_age_years, read_view
from app.score.source import ListedFilm, NoFilm, Source, can_be_opened

RowStatus = Literal["ok", "uncertain", "not_read", "other"]
"""`other` is a file that was found, and is neither JPEG nor PNG nor DICOM."""

STATUSES: Final[tuple[RowStatus, ...]] = ("ok", "uncertain", "not_read", "other")


class ScoreRow(NamedTuple):
    """One row; None where there is nothing to say.

    `probabilities` and `logits` are in the card's order of labels, `distance` is as of
    `app.model.session.Outputs`, `error` is the code of an error.
    """

    path: str
    sha256: str | None
    status: RowStatus
    error: str | None = None
    label: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    probabilities: tuple[float, ...] | None = None
    abnormal: float | None = None
    non_covid_pneumonia: float | None = None
    logits: tuple[float, ...] | None = None
    distance: float | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None


def make_row(
    film: ListedFilm,
    fetched: bytes | Exception,
    reader: Reader,
    said: Subject,
    window: int | None,
) -> ScoreRow:
    """Read a film, and say in a row what came of it; it never raises for the film's sake.

    Parameters
    ----------
    fetched : its bytes, or what `Source.read` raised
    said : of all films; what a manifest says of one goes before
    window : as of `app.reading.reader.Reader.read`
    """
    data: bytes | None = None
    shown: list[Film] = []
    try:
        if isinstance(fetched, Exception):
            raise fetched
        data = fetched
        subject = said.updated(_said_of(film))
        reading = reader.read(data, subject, window, show=shown.append)
    except NoFilm:
        return ScoreRow(film.path, None, "other")
    except Exception as error:  # noqa: BLE001 - as over HTTP: the films after it are still read
        told = error if isinstance(error, NeumoError) else InternalError()
        return ScoreRow(
            film.path,
            None if data is None else hashlib.sha256(data).hexdigest(),
            "not_read",
            told.code,
            distance=shown[0].outputs.distance if shown else None,
        )
    judgement, facts, outputs = reading.judgement, reading.facts, reading.outputs
    return ScoreRow(
        path=film.path,
        sha256=facts.sha256,
        status=judgement.status,
        label=judgement.label,
        reasons=tuple(judgement.reasons),
        warnings=tuple(judgement.warnings),
        probabilities=tuple(judgement.probabilities.values()),
        abnormal=judgement.abnormal,
        non_covid_pneumonia=judgement.non_covid_pneumonia,
        logits=tuple(outputs.logits.values()),
        distance=outputs.distance,
        format=facts.format,
        width=facts.width,
        height=facts.height,
    )


def make_lost_row(film: ListedFilm) -> ScoreRow:
    """Return the row of a film that ended every process that was given it."""
    return ScoreRow(film.path, None, "not_read", InternalError.code)


def could_not_be_opened(error: str | None) -> bool:
    """Whether a row's error is that its film could not be opened: perhaps the place's fault."""
    return error == FileUnreadable.code


def is_open_only_here(
    source: Source, films: Iterable[ListedFilm], rows: Iterable[ScoreRow], most_bytes: int
) -> bool:
    """Whether a film that could not be opened where its row was made can be opened here.

    So it is that machine's fault: it lacks a share, a store's credentials, a package.
    """
    return any(
        could_not_be_opened(row.error) and can_be_opened(source, film, most_bytes)
        for film, row in zip(films, rows, strict=True)
    )


def _said_of(film: ListedFilm) -> Subject:
    return Subject(
        age_years=read_age_years(film.age) if film.age else None,
        view=read_view(film.view) if film.view else None,
    )
