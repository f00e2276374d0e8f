"""Which representation a caller wants: the header Accept (RFC 9110 section 12.5.1)."""

from collections.abc import Sequence
from typing import Final

_MOST_RANGES: Final = 64


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the media type of those offered that a caller likes best; None if none will do.

    Of several that are liked alike, the first offered. Parameters of a range other than its
    quality are not looked at; a malformed quality counts as 0.

    Parameters
    ----------
    accept : the header; empty or missing takes anything
    offered : in lower case, without parameters; the best first
    """
    if not (accept or "").strip():
        return offered[0]
    ranges = [_read_range(text) for text in (accept or "").split(",")[:_MOST_RANGES]]
    qualities = {media_type: _quality_of(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: qualities[media_type])  # the first of equals
    return best if qualities[best] > 0 else None


def _read_range(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media_range, _read_quality(value.strip())
    return media_range, 1.0


def _read_quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


def _quality_of(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the quality by the most specific range that holds a media type."""
    for wanted in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [quality for media_range, quality in ranges if media_range == wanted]
        if found:
            return max(found)
    return 0.0
