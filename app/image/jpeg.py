"""The JPEG: its parts counted before a decoder walks through them, its pixels without a warning.

libjpeg warns of lost and damaged data and goes on with grey or shifted pixels; Pillow keeps these
warnings to itself. simplejpeg, on the same libjpeg-turbo, makes each an error, and gives the very
pixels that Pillow gives with `Image.draft`.
"""

import io
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from app.errors import ImageTruncated, ImageUndecodable

DRAFT_PX: Final = 448
"""A JPEG is decoded scaled down, but to no fewer pixels a side: twice what the network takes."""

_SCALES: Final = (8, 4, 2)

# Pillow spends about 10 us on a segment, libjpeg a walk through all pixels on a scan: a few bytes
# each, so megabytes of them would hold a thread for minutes or hours. Encoders write some 20
# segments and 10 scans.
_MAX_SEGMENTS: Final = 20_000
_MAX_SCANS: Final = 100
_MAX_SCANNED_PIXELS: Final = 1_000_000_000  # about a second

# ITU-T T.81 table B.1
_END_OF_IMAGE: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_WITHOUT_LENGTH: Final = (0x01, 0xD8)  # a temporary mark, and a second start of image
# Within a scan's data FF is followed by 00 or is a restart; FF FF is a fill byte.
_MARK: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_LOSSLESS_FRAME: Final = re.compile(rb"\xff[\xc3\xc7\xcb\xcf]")


@dataclass(frozen=True, slots=True)
class Structure:
    """The parts of a JPEG file up to the end of its image; what lies behind is not the image's.

    `segments` are those of the file, and stray bytes before the first scan; `scans` the walks
    through its pixels. `may_be_lossless` is whether a lossless frame's mark stands anywhere in it,
    be it in a comment: whatever a decoder takes for the frame is among these.
    """

    segments: int
    scans: int
    may_be_lossless: bool

    @property
    def is_sane(self) -> bool:
        """Whether a decoder gets through it in a time that its pixels explain."""
        return self.segments <= _MAX_SEGMENTS and self.scans <= _MAX_SCANS

    def takes_too_long(self, pixels: int) -> bool:
        """Whether so many scans over so many pixels would keep a thread for seconds."""
        return self.scans * pixels > _MAX_SCANNED_PIXELS


def read_structure(data: bytes) -> Structure:
    """Count a JPEG's parts, as far as it is one; what else is wrong is for a decoder to say.

    Stops counting where there are too many.
    """
    segments = scans = at = 0
    end = len(data)
    while segments <= _MAX_SEGMENTS and scans <= _MAX_SCANS:
        found = _MARK.search(data, at)
        if not scans:  # bytes between segments, which Pillow passes over one by one
            segments += (found.start() if found else len(data)) - at
        if found is None:
            break
        at = found.start()
        marker = data[at + 1]
        if marker == _END_OF_IMAGE:
            end = at
            break
        segments += 1
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        scans += marker == _START_OF_SCAN
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return Structure(segments, scans, _LOSSLESS_FRAME.search(data, 0, end) is not None)


def decode_grey(
    data: bytes, structure: Structure, width: int, height: int, mode: str, least_px: int = 0
) -> NDArray[np.uint8]:
    """Decode to grey, at a half, a quarter or an eighth where enough pixels a side are left.

    Parameters
    ----------
    data : a JPEG
    structure : its, which is sane
    width, height : pixels, as its header says
    mode : Pillow's: L, RGB or CMYK
    least_px : that are enough; `DRAFT_PX` if it is less

    Returns
    -------
    uint8 [height, width], or smaller

    Raises
    ------
    ImageTruncated
    ImageUndecodable
        libjpeg's warnings too: then some of the pixels are not the radiograph's.
    """
    scale = _scale(structure, width, height, max(least_px, DRAFT_PX))
    try:
        if mode == "CMYK":
            simplejpeg.decode_jpeg(data, "CMYK")  # for its errors; how to read inks, Pillow knows
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                return np.asarray(image.convert("L"))
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "GRAY", min_height=-(-height // scale), min_width=-(-width // scale)
        )
    except ValueError as error:
        if "Premature end of JPEG file" in str(error):
            raise ImageTruncated from None
        raise ImageUndecodable(format="JPEG") from None
    return pixels[..., 0]


def _scale(structure: Structure, width: int, height: int, least_px: int) -> int:
    """Return by how much a JPEG may be scaled down while it is decoded.

    Not at all where it is, or could be taken for, a lossless one: libjpeg can't scale these, and
    writes beyond the memory it was given if told to.
    """
    if structure.may_be_lossless:
        return 1
    shorter = min(width, height)
    return next((scale for scale in _SCALES if shorter >= scale * least_px), 1)
