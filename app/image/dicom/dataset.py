"""The data set (PS3.5 section 7): walked by pydicom within bounds, its values read here.

pydicom finds the elements. Their values are read by the few lines below: what pydicom says of a
value it can't read (in exceptions, warnings and logs) quotes it, and it may be the patient's name.
"""

import io
import logging
import struct
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.tag import BaseTag

from app.errors import DicomUnsupported, ImageTruncated, ImageUndecodable
from app.image.dicom.file_meta import UID, FileMeta

# Of odd values pydicom warns, logs, and quotes them.
warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").disabled = True
config.settings.reading_validation_mode = config.IGNORE

PIXEL_DATA: Final = 0x7FE00010
TAGS: Final[Mapping[str, int]] = {
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "Modality": 0x00080060,
    "PresentationIntentType": 0x00080068,
    "PatientAge": 0x00101010,
    "BodyPartExamined": 0x00180015,
    "ViewPosition": 0x00185101,
    "PatientOrientation": 0x00200020,
    "Laterality": 0x00200060,
    "ImageLaterality": 0x00200062,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "PlanarConfiguration": 0x00280006,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "PixelPaddingRangeLimit": 0x00280121,
    "WindowCenter": 0x00281050,
    "WindowWidth": 0x00281051,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "VOILUTFunction": 0x00281056,
    "RedPaletteDescriptor": 0x00281101,
    "GreenPaletteDescriptor": 0x00281102,
    "BluePaletteDescriptor": 0x00281103,
    "RedPalette": 0x00281201,
    "GreenPalette": 0x00281202,
    "BluePalette": 0x00281203,
    "ModalityLUTSequence": 0x00283000,
    "LUTDescriptor": 0x00283002,
    "LUTData": 0x00283006,
    "VOILUTSequence": 0x00283010,
    "ViewCodeSequence": 0x00540220,
    "CodeValue": 0x00080100,
    "PresentationLUTShape": 0x20500020,
}
"""Every element that an image is read by; the walk passes over all others."""

# pydicom reads twice or thrice an element, 3 us each, and looks up each character set, 10 us a
# word; a radiograph has some hundred elements.
_MAX_READS: Final = 30_000
_READS_PER_CHARSET_BYTE: Final = 4
_HEAD_BYTES: Final = 8  # of an element; a long length has 4 more
_LONG_LENGTH_BYTES: Final = 4
_CHARSET: Final = (b"\x08\0\x05\0", b"\0\x08\0\x05")  # (0008,0005) in either order
_MAX_TEXT_BYTES: Final = 4096
_MAX_WORDS: Final = 8


class _TooComplex(Exception):
    """More is read than an image's header holds."""


class _Stream(io.BytesIO):
    """A file in memory that may be read from so many times."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads_left = _MAX_READS
        self._at_charset = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self._at_charset and size and size > _LONG_LENGTH_BYTES:
            self.reads_left -= _READS_PER_CHARSET_BYTE * size
            self._at_charset = False
        if self.reads_left < 0:
            raise _TooComplex
        value = super().read(size)
        if size == _HEAD_BYTES:
            self._at_charset = value[:4] in _CHARSET
        return value


class Elements:
    """Values by name: of a data set, or of an item of a sequence in it.

    Every value is taken from its bytes; one that can't be read is as one that isn't there, unless
    a method says otherwise.
    """

    def __init__(
        self,
        dataset: Dataset,
        stream: _Stream,
        *,
        little_endian: bool,
        tags: Mapping[str, int] = TAGS,
    ) -> None:
        self._dataset = dataset
        self._stream = stream
        self._little_endian = little_endian
        self._tags = tags

    def bytes(self, name: str) -> bytes:
        """Return the bytes of a value, none if there is none."""
        value = self._value(name)
        return value if isinstance(value, bytes) else b""

    def texts(self, name: str) -> list[str]:
        """Return the values of a text, without blanks around; of a very long one the first."""
        text = self.bytes(name)[:_MAX_TEXT_BYTES].decode("ascii", "replace")
        return [part.strip("\0 ") for part in text.split("\\")] if text else []

    def text(self, name: str) -> str:
        """Return the first value of a text, empty if there is none."""
        return next(iter(self.texts(name)), "")

    def uid(self, name: str) -> str | None:
        """Return a UID that is one."""
        text = self.text(name)
        return text if UID.fullmatch(text) else None

    def numbers(self, name: str) -> list[float]:
        """Return decimal strings as numbers.

        Raises
        ------
        DicomUnsupported
            If one of them is no number: what it says of the grey scale is not guessed.
        """
        try:
            return [float(text) for text in self.texts(name) if text]
        except ValueError:
            raise DicomUnsupported(reason="grey_scale") from None

    def words(self, name: str, *, signed: bool = False) -> list[int]:
        """Return 16-bit integers, the first few."""
        value = self.bytes(name)[: 2 * _MAX_WORDS]
        order, kind = "<" if self._little_endian else ">", "h" if signed else "H"
        return list(struct.unpack(f"{order}{len(value) // 2}{kind}", value[: len(value) & ~1]))

    def word(self, name: str, *, signed: bool = False) -> int | None:
        """Return a 16-bit integer."""
        return next(iter(self.words(name, signed=signed)), None)

    def items(self, name: str) -> "list[Elements]":
        """Return the items of a sequence.

        Raises
        ------
        DicomUnsupported
            If the bound on all reads of this file is passed.
        ImageUndecodable
        """
        if self._tags[name] not in self._dataset:
            return []
        value = self._value(name)
        if isinstance(value, bytes):
            value = _read_items(value, self._stream, self._dataset, self._little_endian)
        if not isinstance(value, Sequence) or isinstance(value, str):
            return []
        return [
            Elements(item, self._stream, little_endian=self._little_endian, tags=self._tags)
            for item in value
            if isinstance(item, Dataset)
        ]

    @property
    def little_endian(self) -> bool:
        """Whether words have their low byte first."""
        return self._little_endian

    def _value(self, name: str) -> object:
        if self._tags[name] not in self._dataset:
            return None
        # `keep_deferred`: or it takes an empty value for one to be read later, and converts it.
        return self._dataset.get_item(self._tags[name], keep_deferred=True).value


def read_elements(
    data: bytes, meta: FileMeta, tags: Mapping[str, int] = TAGS
) -> tuple[Elements, int]:
    """Walk the data set up to its pixels.

    Parameters
    ----------
    tags : every element whose value is looked at, by name

    Returns
    -------
    the elements, and where that of the pixels begins

    Raises
    ------
    ImageTruncated
        If the file ends before its pixels do.
    DicomUnsupported
        If it has too many elements, or nests them too deep.
    ImageUndecodable
    """
    stream = _Stream(data)
    stream.seek(meta.end)
    syntax = meta.transfer_syntax
    found = False

    def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal found
        found = int(tag) == PIXEL_DATA
        return int(tag) >= PIXEL_DATA

    try:
        dataset = read_dataset(
            stream,
            syntax.is_implicit,
            syntax.is_little_endian,
            stop_when=at_pixels,
            specific_tags=list(tags.values()),
        )
        at = stream.tell()
    except (MemoryError, ImageUndecodable):
        raise
    except (_TooComplex, RecursionError):
        raise DicomUnsupported(reason="too_complex") from None
    except EOFError:
        raise ImageTruncated from None
    except Exception:  # noqa: BLE001 - pydicom raises anything on hostile bytes, and quotes them
        raise ImageUndecodable(format="DICOM") from None
    if not found:
        raise ImageTruncated
    return Elements(dataset, stream, little_endian=syntax.is_little_endian, tags=tags), at


def _read_items(value: bytes, stream: _Stream, dataset: Dataset, little_endian: bool) -> object:
    """Read the items of a sequence of defined length, within the same bound."""
    part = _Stream(value)
    part.reads_left = stream.reads_left
    implicit = dataset.original_encoding[0]
    try:
        return read_sequence(part, bool(implicit), little_endian, len(value), "iso8859")
    except MemoryError:
        raise
    except (_TooComplex, RecursionError):
        raise DicomUnsupported(reason="too_complex") from None
    except Exception:  # noqa: BLE001 - as above
        raise ImageUndecodable(format="DICOM") from None
    finally:
        stream.reads_left = part.reads_left
