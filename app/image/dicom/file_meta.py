"""The file meta information (PS3.10 section 7.1): what a file says of itself before its data set.

Read by these few lines, not by pydicom, which inflates a deflated data set as it opens the file:
1.5 MB become 1.5 GB. What is not read is refused here.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from app.errors import DicomUnsupported, ImageTruncated, ImageUndecodable

Coding = Literal["native", "rle", "jpeg", "jpeg_ls", "jpeg_2000"]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set and its pixels are written (PS3.5 section 10 and annex A)."""

    uid: str
    name: str
    coding: Coding = "native"
    is_implicit: bool = False
    is_little_endian: bool = True


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The transfer syntax, the SOP class and instance, and where the data set begins.

    Parameters
    ----------
    sop_instance : empty if it is no UID
    """

    transfer_syntax: TransferSyntax
    sop_class: str
    end: int
    sop_instance: str = ""


UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)+", re.ASCII)
"""A unique identifier (PS3.5 section 9.1)."""


TRANSFER_SYNTAXES: Final[Mapping[str, TransferSyntax]] = MappingProxyType(
    {
        syntax.uid: syntax
        for syntax in (
            TransferSyntax("1.2.840.10008.1.2", "Implicit VR Little Endian", is_implicit=True),
            TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian"),
            TransferSyntax(
                "1.2.840.10008.1.2.2", "Explicit VR Big Endian", is_little_endian=False
            ),
            TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", "rle"),
            TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "jpeg"),
            TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", "jpeg"),
            TransferSyntax(
                "1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "jpeg"
            ),
            TransferSyntax(
                "1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction",
                "jpeg",
            ),
            TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "jpeg_ls"),
            TransferSyntax("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless)", "jpeg_ls"),
            TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 (Lossless Only)", "jpeg_2000"),
            TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000", "jpeg_2000"),
            TransferSyntax(
                "1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)", "jpeg_2000"
            ),
            TransferSyntax(
                "1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL (Lossless Only)",
                "jpeg_2000",
            ),
            TransferSyntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", "jpeg_2000"),
        )
    }
)  # fmt: skip
"""What is read, by UID."""
_DEFLATED: Final = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
_DICOMDIR: Final = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage

_START: Final = 132  # 128 bytes of anything, and DICM
_MAX_BYTES: Final = 65_536
_GROUP: Final = 0x0002
_SOP_CLASS: Final = 0x0002
_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010
_LONG: Final = (b"OB", b"OW", b"UN", b"UT", b"SQ", b"UC", b"UR")  # PS3.5 table 7.1-1
_ELEMENT: Final = struct.Struct("<HH2sH")
_LONG_LENGTH: Final = struct.Struct("<I")


def read_file_meta(data: bytes) -> FileMeta:
    """Read the group 0002 of a file, which is explicit VR little endian whatever follows.

    Raises
    ------
    ImageTruncated
        If the file ends within it.
    ImageUndecodable
        If it has no end within 64 kB, or names no transfer syntax.
    DicomUnsupported
        If the file is a DICOMDIR, deflated, or of a transfer syntax that is not read.
    """
    values, end = _read_elements(data[: _START + _MAX_BYTES])
    sop_class, instance, uid = (
        _uid(values.get(element, b"")) for element in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX)
    )
    if sop_class == _DICOMDIR:
        raise DicomUnsupported(reason="dicomdir")
    if not uid:
        raise ImageUndecodable(format="DICOM")
    if uid in _DEFLATED:
        raise DicomUnsupported(reason="deflated")
    if uid not in TRANSFER_SYNTAXES:
        raise DicomUnsupported(reason="transfer_syntax")
    named = instance if UID.fullmatch(instance) else ""
    return FileMeta(TRANSFER_SYNTAXES[uid], sop_class, end, named)


def _read_elements(head: bytes) -> tuple[dict[int, bytes], int]:
    """Return the values of group 0002 by element, and where another group begins."""
    values: dict[int, bytes] = {}
    at = _START
    while at + _ELEMENT.size <= len(head):
        group, element, vr, length = _ELEMENT.unpack_from(head, at)
        if group != _GROUP:
            return values, at
        at += _ELEMENT.size
        if vr in _LONG:
            if at + _LONG_LENGTH.size > len(head):
                break
            (length,) = _LONG_LENGTH.unpack_from(head, at)
            at += _LONG_LENGTH.size
        values.setdefault(element, head[at : at + length])
        at += length
    if len(head) < _START + _MAX_BYTES:
        raise ImageTruncated
    raise ImageUndecodable(format="DICOM")


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")
