"""What a request brings: images, from a form or the raw body, in memory only, and of whom."""

from dataclasses import dataclass
from typing import Final, cast

from starlette.requests import Request

from app.errors import EmptyUpload, MissingFile, UnsupportedMediaType
from app.http.body.form import Form
from app.http.parameters import SUBJECT_FIELDS, has_unknown, read_subject, read_subjects
from app.reading.population import Subject, WarningCode
from app.service.service import Service

FIELD: Final = "file"
"""The form field that holds an image; `app.http.body.form.FILE_FIELD` are all that are taken."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The images of a request, who each is of, and whether more was said than is read."""

    files: list[bytes]
    subjects: list[Subject]
    has_unknown_fields: bool

    @property
    def remarks(self) -> list[WarningCode]:
        """The warnings that every answer to the request holds."""
        return ["unknown_field"] if self.has_unknown_fields else []


def service_of(request: Request) -> Service:
    """Return this process's service."""
    return cast("Service", request.app.state.service)


async def read_upload(request: Request, query: tuple[str, ...] = ()) -> Upload:
    """Return the one image of a request, from a form or as the raw body.

    What the form's fields ``age_years`` and ``view`` say wins over the query's.

    Parameters
    ----------
    query : the parameters that the call takes besides

    Raises
    ------
    EmptyUpload, MissingFile, TooManyFiles, Malformed, BodyTooLarge, InvalidParameter,
    UnsupportedMediaType
    """
    subject = read_subject(request.query_params)
    unknown = has_unknown(request.query_params, (*SUBJECT_FIELDS, *query))
    media_type = media_type_of(request)
    if media_type == "multipart/form-data":
        return await _read_form(request, subject, max_files=1, unknown=unknown)
    if media_type == "application/x-www-form-urlencoded":
        raise UnsupportedMediaType(reason="urlencoded")
    body = await request.body()
    if not body:
        raise EmptyUpload
    return Upload([body], [subject], unknown)


async def read_uploads(request: Request, max_files: int, query: tuple[str, ...] = ()) -> Upload:
    """Return the images of a form, in order, at most `max_files`.

    ``age_years`` and ``view`` are given once for all, or once for each. An empty file is returned
    as such: whether it fails the request is the caller's to say.

    Parameters
    ----------
    query : the parameters that the call takes besides

    Raises
    ------
    MissingFile, TooManyFiles, Malformed, BodyTooLarge, InvalidParameter, UnsupportedMediaType
    """
    subject = read_subject(request.query_params)
    unknown = has_unknown(request.query_params, (*SUBJECT_FIELDS, *query))
    if media_type_of(request) != "multipart/form-data":
        raise MissingFile(field=FIELD, reason="no_form")
    return await _read_form(request, subject, max_files, unknown=unknown)


def media_type_of(request: Request) -> str:
    """Return the body's media type.

    Raises
    ------
    UnsupportedMediaType
        If the body is compressed.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType(reason="content_encoding")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_form(request: Request, said: Subject, max_files: int, *, unknown: bool) -> Upload:
    form = Form(request.headers["content-type"], SUBJECT_FIELDS, max_files)
    async for piece in request.stream():
        form.write(piece)
    form.finish()
    if not form.files and form.text_in_file_field:
        raise MissingFile(field=FIELD, reason="text")
    if not form.files:
        raise MissingFile(field=FIELD)
    subjects = read_subjects(form.texts, len(form.files))
    return Upload(
        files=form.files,
        subjects=[said.updated(subject) for subject in subjects],
        has_unknown_fields=unknown or form.has_unknown_fields,
    )
