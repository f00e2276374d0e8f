"""The parts of a JPEG file, counted before a decoder walks through them."""

from typing import Final

import numpy as np

DRAFT_PX: Final = 448
"""A JPEG is decoded scaled down, but to no fewer pixels a side: twice what the network takes."""

# libjpeg walks through all pixels once a scan: a few bytes each, so megabytes of them would hold a
# thread for hours. Encoders write 10 scans.
_MAX_SCANS: Final = 100
_LEAD: Final = 0xFF
_START_OF_SCAN: Final = b"\xda"
_MARKERS_WITHOUT_LENGTH: Final = b"\x00\x01\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9"


def has_few_parts(data: bytes, most: int) -> bool:
    """Whether a JPEG has at most `most` segments, and few scans.

    Walks through its parts as Pillow will; what else is wrong is for it to say.
    """
    if _count_scans(data) > _MAX_SCANS:
        return False
    at = 2  # after the start of image
    for _ in range(most):
        if at >= len(data):
            return True
        at = _after_segment(data, at)
    return False


def _count_scans(data: bytes) -> int:
    """Count the pairs FF DA; `bytes.count` would take as long as a tenth of decoding."""
    octets = np.frombuffer(data, np.uint8)
    starts = octets[1:] == _START_OF_SCAN[0]
    starts &= octets[:-1] == _LEAD
    return int(np.count_nonzero(starts))


def _after_segment(data: bytes, at: int) -> int:
    """Return where the next segment before the first scan begins (ITU-T T.81 B.1.1)."""
    lead, marker = data[at : at + 1], data[at + 1 : at + 2]
    if lead != b"\xff" or marker == b"\xff":  # a stray or a fill byte
        return at + 1
    if marker in (b"", _START_OF_SCAN):
        return len(data)  # the pixels: libjpeg's to read
    if marker in _MARKERS_WITHOUT_LENGTH:
        return at + 2
    return at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
