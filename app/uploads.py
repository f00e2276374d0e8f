"""The files of a request: from a multipart form or the raw body, held in memory only."""

import math
from collections.abc import Mapping
from typing import Final, get_args

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.card import View
from app.errors import EmptyUpload, InvalidParameter, Malformed, MissingFile, TooManyFiles
from app.reading import NOBODY, Subject

FIELD: Final = "file"
"""The form field that holds an image."""

MAX_AGE_YEARS: Final = 130
_MAX_FIELDS: Final = 16
_MAX_FIELD_BYTES: Final = 4096
_NEVER_SPOOL: Final = 2**62  # the body limit bounds memory; an X-ray must not touch the disk


class _MemoryParser(MultiPartParser):
    """Starlette's parser, its files never spooled to disk; it knows whether the form was whole."""

    spool_max_size = _NEVER_SPOOL
    complete = False

    def on_end(self) -> None:
        self.complete = True

    def close(self) -> None:
        """Let go of every file, one that was cut off too."""
        for file in self._files_to_close_on_error:
            file.close()


async def read_upload(request: Request) -> tuple[bytes, Subject]:
    """Return the one file of a request, in the field `FIELD` or as the raw body.

    And what the form's fields ``age_years`` and ``view`` say of it.

    Raises
    ------
    EmptyUpload, MissingFile, TooManyFiles, Malformed, BodyTooLarge, InvalidParameter
    """
    if _is_form(request):
        files, fields = await _read_form(request, (FIELD,), max_files=1)
        return files[0], read_subject(fields)
    body = await request.body()
    if not body:
        raise EmptyUpload
    return body, NOBODY


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


async def read_uploads(request: Request, max_files: int) -> list[bytes]:
    """Return the files of a form's fields `FIELD` or ``files``, in order, at most `max_files`.

    An empty file is returned as such: whether it fails the request is the caller's to say.

    Raises
    ------
    MissingFile, TooManyFiles, Malformed, BodyTooLarge
    """
    if not _is_form(request):
        raise MissingFile(field=FIELD)
    return (await _read_form(request, (FIELD, "files"), max_files))[0]


def _is_form(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


async def _read_form(
    request: Request, fields: tuple[str, ...], max_files: int
) -> tuple[list[bytes], dict[str, str]]:
    """Return the files of some fields, and the fields that are text."""
    parser = _MemoryParser(
        request.headers,
        request.stream(),
        max_files=max_files,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise TooManyFiles(max_files=max_files) from None
        raise Malformed from None
    except UnicodeError:  # the caller names a charset, and some of Python's can't decode at all
        raise Malformed from None
    try:
        if not parser.complete:  # its last part would be missing without a word
            raise Malformed
        uploads = [
            upload
            for field, upload in form.multi_items()
            if field in fields and isinstance(upload, UploadFile)
        ]
        if not uploads:
            raise MissingFile(field=FIELD)
        texts = {name: value for name, value in form.items() if isinstance(value, str)}
        return [await upload.read() for upload in uploads], texts
    finally:
        parser.close()
