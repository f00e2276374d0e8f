"""What a request holds: files, from a form or the raw body, in memory only; and parameters."""

import math
from collections.abc import Mapping
from typing import Final, cast, get_args

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from app.errors import EmptyUpload, InvalidParameter, MissingFile
from app.http.form import Form
from app.model.labels import View
from app.reading.population import Subject
from app.service.service import Service

FIELD: Final = "file"
"""The form field that holds an image."""

MAX_AGE_YEARS: Final = 130
_FLAG: Final = TypeAdapter(bool)


def service_of(request: Request) -> Service:
    """Return this process's service."""
    return cast("Service", request.app.state.service)


async def read_upload(request: Request) -> tuple[bytes, Subject]:
    """Return the one file of a request, in the form field `FIELD` or as the raw body.

    And what the form's fields ``age_years`` and ``view``, or else the query's, say of it.

    Raises
    ------
    EmptyUpload, MissingFile, TooManyFiles, Malformed, BodyTooLarge, InvalidParameter
    """
    subject = read_subject(request.query_params)
    if _is_form(request):
        files, fields = await _read_form(request, (FIELD,), max_files=1)
        return files[0], subject.updated(read_subject(fields))
    body = await request.body()
    if not body:
        raise EmptyUpload
    return body, subject


async def read_uploads(request: Request, max_files: int) -> tuple[list[bytes], Subject]:
    """Return the files of a form's fields `FIELD` or ``files``, in order, at most `max_files`.

    And what its fields ``age_years`` and ``view``, or else the query's, say of all of them. An
    empty file is returned as such: whether it fails the request is the caller's to say.

    Raises
    ------
    MissingFile, TooManyFiles, Malformed, BodyTooLarge, InvalidParameter
    """
    subject = read_subject(request.query_params)
    if not _is_form(request):
        raise MissingFile(field=FIELD)
    files, fields = await _read_form(request, (FIELD, "files"), max_files)
    return files, subject.updated(read_subject(fields))


def read_subject(fields: Mapping[str, str]) -> Subject:
    """Read ``age_years`` (0 to 130) and ``view`` (PA, AP, lateral); empty is not given.

    Raises
    ------
    InvalidParameter
        Without the value: it may say who the patient is.
    """
    given = {name: text.strip() for name, text in fields.items() if text.strip()}
    age_years = None
    if "age_years" in given:
        try:
            age_years = float(given["age_years"])
        except ValueError:
            age_years = math.nan
        if not 0 <= age_years <= MAX_AGE_YEARS:
            raise InvalidParameter(parameter="age_years")
    view = None
    if "view" in given:
        views = [view for view in get_args(View) if view.lower() == given["view"].lower()]
        if not views:
            raise InvalidParameter(parameter="view")
        view = views[0]
    return Subject(age_years, view)


def read_flag(given: Mapping[str, str], name: str) -> bool:
    """Read a parameter that is true or false; false if it isn't given.

    Raises
    ------
    InvalidParameter
    """
    if name not in given:
        return False
    try:
        return _FLAG.validate_python(given[name])
    except ValidationError:
        raise InvalidParameter(parameter=name) from None


def _is_form(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


async def _read_form(
    request: Request, fields: tuple[str, ...], max_files: int
) -> tuple[list[bytes], dict[str, str]]:
    """Return the files of some fields, and the fields that are text."""
    form = Form(request.headers["content-type"], max_files)
    async for piece in request.stream():
        form.write(piece)
    form.finish()
    files = [content for field, content in form.files if field in fields]
    if not files:
        raise MissingFile(field=FIELD)
    return files, form.texts
