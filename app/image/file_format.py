"""The format of a file, by its first bytes: never by a name or a header of the request."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from app.errors import EmptyUpload, UnsupportedMediaType
from app.image import png

Format = Literal["JPEG", "PNG", "DICOM"]
SIGNATURES: Final[Mapping[bytes, Format]] = MappingProxyType(
    {b"\xff\xd8\xff": "JPEG", png.SIGNATURE: "PNG"}
)
_BASE64_STARTS: Final = (b"/9j/", b"iVBORw0KGg", b"data:")  # of FF D8 FF, of PNG's, of a data URL
_DICOM_MARK: Final = slice(128, 132)  # PS3.10 section 7.1; before it stands anything
_ENVELOPED: Final = bytes.fromhex("06092a864886f70d010703")  # a secure DICOM file, PS3.15 annex D

# What is sent instead of an image, and what it begins with: each has a text of its own.
_OTHERS: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("gzip", lambda data: data.startswith(b"\x1f\x8b")),
    ("encrypted", lambda data: data.startswith(b"\x30") and _ENVELOPED in data),
    ("base64", lambda data: data.lstrip(b" \t\r\n\"'").startswith(_BASE64_STARTS)),
    ("json", lambda data: data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))),
    ("form", lambda data: data.startswith(b"--") and b"Content-Disposition:" in data),
)
_HEAD_BYTES: Final = 512


def recognise(data: bytes) -> Format:
    """Return the format of a file.

    Raises
    ------
    EmptyUpload
    UnsupportedMediaType
        With a `reason` where it is clear what was sent instead.
    """
    if not data:
        raise EmptyUpload
    known = known_format(data)
    if known is not None:
        return known
    head = data[:_HEAD_BYTES]
    for reason, begins_so in _OTHERS:
        if begins_so(head):
            raise UnsupportedMediaType(reason=reason)
    raise UnsupportedMediaType


def known_format(data: bytes) -> Format | None:
    """Return the format of a file that is read; None for any other.

    What begins like a JPEG or PNG is one, though it may be a DICOM file too.
    """
    for signature, image_format in SIGNATURES.items():
        if data.startswith(signature):
            return image_format
    return "DICOM" if data[_DICOM_MARK] == b"DICM" else None
