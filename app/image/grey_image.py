"""A decoded image, what its file says of itself, and the limits that a file is held to."""

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import ImageTooManyPixels, ImageTooSmall
from app.image.file_format import Format

Rendering = Literal["linear", "linear_exact", "sigmoid", "voi_lut", "by_values", "full", "colour"]
"""By what a DICOM image's values became grey: a window by one of the functions of PS3.3 C.11.2.1.3,
a VOI LUT, the rule of `window` on the values that the film uses, the whole range of its bits, or
the luma of colours."""

DicomView = Literal["PA", "AP", "lateral", "other"]

MAX_AGE_YEARS: Final = 130
_AGE_STRING: Final = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)
_PER_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


def read_age_string(text: str) -> float | None:
    """Return the years of DICOM's Age String, as 061Y or 018M (PS3.5 section 6.2, AS).

    None for any other text: a number without a unit is not guessed.
    """
    told = _AGE_STRING.fullmatch(text)
    return int(told[1]) / _PER_YEAR[told[2]] if told else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded at all.

    Parameters
    ----------
    decode_s : for pixels that are decoded in another process, from the wait for one
    """

    min_side_px: int = 64
    max_pixels: int = 50_000_000
    decode_s: float = 3.5

    def check(self, width: int, height: int) -> None:
        """Hold a size to the limits.

        Raises
        ------
        ImageTooManyPixels, ImageTooSmall
        """
        if width * height > self.max_pixels:
            raise ImageTooManyPixels(max_pixels=self.max_pixels)
        if min(width, height) < self.min_side_px:
            raise ImageTooSmall(min_side_px=self.min_side_px)


NORMAL_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class GreyWindow:
    """The window by which values became grey; centre and width in values after rescaling.

    None for both where they mean nothing: a VOI LUT, the full range, colours.
    """

    rendering: Rendering
    center: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True)
class DicomFacts:
    """What is told of a DICOM image, and nothing that names the patient.

    Attributes
    ----------
    transfer_syntax, transfer_syntax_name : UID, and its name in PS3.6
    bits_stored : (0028,0101)
    photometric_interpretation : (0028,0004), one of those that are read
    window : that was used
    windows : how many VOI LUTs and windows the file has to choose from, LUTs first
    sop_instance_uid : (0008,0018), if it is a UID; who shows it has been asked to
    """

    transfer_syntax: str
    transfer_syntax_name: str
    bits_stored: int
    photometric_interpretation: str
    window: GreyWindow
    windows: int
    sop_instance_uid: str | None


@dataclass(frozen=True, slots=True)
class DicomTags:
    """What a DICOM file says of the patient's age and of the projection; None where nothing.

    All are Neumo's own words or DICOM's defined terms: none is text of the file.

    Attributes
    ----------
    age_years : 0 to 130, of Patient's Age (0010,1010)
    view : of View Position (0018,5101), or of View Code Sequence (0054,0220)
    body_part : of Body Part Examined (0018,0015)
    modality : (0008,0060)
    patient_orientation : (0020,0020), where the row and the column lead, such as L and F
    laterality : L, R, B or U, of Image Laterality (0020,0062) or Laterality (0020,0060)
    """

    age_years: float | None = None
    view: DicomView | None = None
    body_part: Literal["chest", "other"] | None = None
    modality: Literal["CR", "DX", "other"] | None = None
    patient_orientation: tuple[str, str] | None = None
    laterality: Literal["L", "R", "B", "U"] | None = None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says of itself: no pixel, no name.

    `width` and `height` are pixels as shown (after EXIF rotation), `bits` the depth of one
    sample, `sha256` the hash of the file's bytes. `dicom` is there for a DICOM file only.
    """

    format: Format
    width: int
    height: int
    bits: int
    sha256: str
    dicom: DicomFacts | None = None


@dataclass(frozen=True, slots=True)
class GreyImage:
    """Decoded pixels, uint8 [height, width], 0 black (air) to 255 white (dense).

    A JPEG may be decoded smaller than `facts` says; never smaller than 448 px a side
    unless it is so. JPEG 2000 likewise, never smaller than 896 px. Of both, more may be asked for.
    `tags` are a DICOM file's.
    """

    pixels: NDArray[np.uint8]
    facts: ImageFacts
    tags: DicomTags | None = None
