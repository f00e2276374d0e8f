"""What is said of a patient and a projection, in words: ages and views as stations write them."""

import re
from collections.abc import Mapping
from typing import Final

from app.errors import InvalidParameter
from app.reading.population import SaidView

MAX_AGE_YEARS: Final = 130
_AGE: Final = re.compile(r"\d{1,3}(?:[.,]\d*)?", re.ASCII)
_DICOM_AGE: Final = re.compile(
    r"(\d{1,3})([DWMY])", re.IGNORECASE | re.ASCII
)  # PS3.5 section 6.2, AS
_PER_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}

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
    dicom = _DICOM_AGE.fullmatch(text)
    if dicom:
        age_years = int(dicom[1]) / _PER_YEAR[dicom[2].upper()]
    elif _AGE.fullmatch(text):
        age_years = float(text.replace(",", "."))
    else:
        raise InvalidParameter(parameter="age_years", reason="age")
    if age_years > MAX_AGE_YEARS:
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
