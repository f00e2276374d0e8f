"""The files of a request: from a multipart form or the raw body, held in memory only."""

from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.errors import EmptyUpload, Malformed, MissingFile, TooManyFiles

FIELD: Final = "file"
"""The form field that holds an image."""

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


async def read_upload(request: Request) -> bytes:
    """Return the one file of a request, in the field `FIELD` or as the raw body.

    Raises
    ------
    EmptyUpload, MissingFile, TooManyFiles, Malformed, BodyTooLarge
    """
    if _is_form(request):
        return (await _read_form(request, (FIELD,), max_files=1))[0]
    body = await request.body()
    if not body:
        raise EmptyUpload
    return body


async def read_uploads(request: Request, max_files: int) -> list[bytes]:
    """Return the files of a form's fields `FIELD` or ``files``, in order, at most `max_files`.

    An empty file is returned as such: whether it fails the request is the caller's to say.

    Raises
    ------
    MissingFile, TooManyFiles, Malformed, BodyTooLarge
    """
    if not _is_form(request):
        raise MissingFile(field=FIELD)
    return await _read_form(request, (FIELD, "files"), max_files)


def _is_form(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


async def _read_form(request: Request, fields: tuple[str, ...], max_files: int) -> list[bytes]:
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
        return [await upload.read() for upload in uploads]
    finally:
        parser.close()
