"""What is said of a patient and a projection, in words: ages and views as stations write them."""

import re
from collections.abc import Mapping
from typing import Final

from app.errors import InvalidParameter
from app.image.grey_image import MAX_AGE_YEARS, read_age_string
from app.reading.population import SaidView

_AGE: Final = re.compile(r"\d{1,3}(?:[.,]\d*)?", re.ASCII)

# View Position (0018,5101), and how stations write it beside.
_VIEWS: Final[Mapping[str, SaidView]] = {
    "PA": "PA", "AP": "AP", "LL": "lateral", "RL": "lateral", "LAT": "lateral",
    "LATERAL": "lateral", "LLD": "other", "RLD": "other", "LLO": "other", "RLO": "other",
}  # fmt: skip
VIEW_WORDS: Final = ("PA", "AP", "lateral", "LL", "RL", "LLD", "RLD", "LLO", "RLO")
"""The words of `_VIEWS` that are told to callers: Neumo's own, then DICOM's."""

AGE_PATTERN: Final = (
    "^((0{0,2}[0-9]|0?[0-9]{2}|1[0-2][0-9])([.,][0-9]*)?|130([.,]0*)?"
    "|[0-9]{1,3}[DWMdwm]|(0{0,2}[0-9]|0?[0-9]{2}|1[0-2][0-9]|130)[Yy])?$"
)
"""What `read_age_years` takes, and nothing, as a regular expression for JSON Schema."""

_POSITIONS: Final = frozenset(
    ["ERECT", "SUPINE", "PRONE", "SITTING", "SEMI-ERECT", "STANDING", "PORTABLE"]
)


def read_age_years(text: str) -> float:
    """Read an age: years with a point or comma, or DICOM's 061Y, 018M, 006W, 010D.

    Raises
    ------
    InvalidParameter
    """
    age_years = read_age_string(text.upper())
    if age_years is None and _AGE.fullmatch(text):
        age_years = float(text.replace(",", "."))
    if age_years is None or age_years > MAX_AGE_YEARS:
        raise InvalidParameter(parameter="age_years", reason="age")
    return age_years


def read_view(text: str) -> SaidView:
    """Read a view: PA, AP, lateral, or another of DICOM's words, perhaps with a position.

    Raises
    ------
    InvalidParameter
    """
    words = text.upper().replace("_", " ").split()
    if not words or words[0] not in _VIEWS or not _POSITIONS.issuperset(words[1:]):
        raise InvalidParameter(parameter="view", reason="view")
    return _VIEWS[words[0]]
