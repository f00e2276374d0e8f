"""From a DICOM file to grey, as the standard shows it, with what the file says of it."""

import hashlib
import re
from typing import Final, Literal

import numpy as np
from PIL import Image

from app.errors import DicomUnsupported
from app.image.dicom import pixels
from app.image.dicom.dataset import Elements, read_elements
from app.image.dicom.file_meta import FileMeta, read_file_meta
from app.image.dicom.grey_scale import Rendered, render
from app.image.dicom.pixels import Layout, Words, read_layout, read_pixel_element
from app.image.grey_image import (
    DicomFacts,
    DicomTags,
    DicomView,
    GreyImage,
    GreyWindow,
    ImageFacts,
    Limits,
)

_CLASS: Final = "1.2.840.10008.5.1.4.1.1."
_READ_CLASSES: Final = frozenset(
    _CLASS + each
    for each in ("1", "1.1", "7")  # CR, DX for presentation, secondary capture
)
_DX_FOR_PROCESSING: Final = _CLASS + "1.1.1"
_MULTI_FRAME: Final = tuple(_CLASS + each for each in ("7.1", "7.2", "7.3", "7.4"))

_AGE: Final = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)  # PS3.5 section 6.2, AS
_PER_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_MAX_AGE_YEARS: Final = 130
_VIEWS: Final[dict[str, DicomView]] = {
    "PA": "PA", "AP": "AP", "LL": "lateral", "RL": "lateral", "LATERAL": "lateral",
    "LLD": "other", "RLD": "other", "LLO": "other", "RLO": "other",
}  # fmt: skip
_VIEW_CODES: Final[dict[str, DicomView]] = {  # PS3.16 CID 4010, by SNOMED CT and by SRT
    "272479007": "PA", "R-10214": "PA", "399348003": "AP", "R-10206": "AP",
    "399067008": "lateral", "R-10228": "lateral", "399198007": "lateral", "R-10232": "lateral",
    "399173006": "lateral", "R-10236": "lateral",
}  # fmt: skip
_CHESTS: Final = ("CHEST", "THORAX", "LUNG")
_MODALITIES: Final[dict[str, Literal["CR", "DX"]]] = {"CR": "CR", "DX": "DX"}
_DIRECTIONS: Final = re.compile(r"[ALRPHF]{1,3}")  # PS3.3 C.7.6.1.1.1
_SIDES: Final = ("L", "R", "B", "U")


def decode_film(data: bytes, limits: Limits, window: int | None = None) -> GreyImage:
    """Decode a DICOM file to grey.

    Parameters
    ----------
    window : which of its VOI LUTs and windows, from 0, LUTs first; the first if None

    Raises
    ------
    DicomUnsupported, ImageTooSmall, ImageTooManyPixels, ImageTruncated, ImageUndecodable,
    InvalidParameter
    """
    meta = read_file_meta(data)
    elements, at = read_elements(data, meta)
    _check_kind(elements, meta)
    layout = read_layout(elements)
    limits.check(layout.columns, layout.rows)
    rendered = _render(data, at, meta, elements, layout, window)
    facts = DicomFacts(
        transfer_syntax=meta.transfer_syntax.uid,
        transfer_syntax_name=meta.transfer_syntax.name,
        bits_stored=layout.bits_stored,
        photometric_interpretation=layout.photometric_interpretation,
        window=rendered.window,
        windows=rendered.windows,
        sop_instance_uid=elements.uid("SOPInstanceUID"),
    )
    sha256 = hashlib.sha256(data).hexdigest()
    return GreyImage(
        rendered.pixels,
        ImageFacts("DICOM", layout.columns, layout.rows, layout.bits_stored, sha256, facts),
        _read_tags(elements),
    )


def _check_kind(elements: Elements, meta: FileMeta) -> None:
    sop_class = elements.text("SOPClassUID") or meta.sop_class
    intent = elements.text("PresentationIntentType")
    if sop_class == _DX_FOR_PROCESSING or intent == "FOR PROCESSING":
        raise DicomUnsupported(reason="for_processing")
    if sop_class in _MULTI_FRAME:
        raise DicomUnsupported(reason="multi_frame")
    if sop_class not in _READ_CLASSES:
        raise DicomUnsupported


def _render(
    data: bytes, at: int, meta: FileMeta, elements: Elements, layout: Layout, window: int | None
) -> Rendered:
    syntax = meta.transfer_syntax
    encapsulated = syntax.coding != "native"
    element = read_pixel_element(
        data, at, little_endian=syntax.is_little_endian, encapsulated=encapsulated
    )
    if encapsulated:
        raise DicomUnsupported(reason="transfer_syntax")
    samples = pixels.native_samples(layout, element, little_endian=syntax.is_little_endian)
    if layout.samples > 1:
        return _colour(samples, layout)
    words = Words(samples, layout.bits_stored, layout.high_bit + 1 - layout.bits_stored)
    return render(elements, layout, words, window)


def _colour(samples: "np.typing.NDArray[np.uint8]", layout: Layout) -> Rendered:
    """Return the luma of colours, as of a PNG's."""
    if samples.ndim == 2:  # noqa: PLR2004 - it is the luma
        grey = samples
    elif layout.photometric_interpretation in pixels.LUMA_FIRST:
        grey = np.ascontiguousarray(samples[..., 0])
    else:
        grey = np.asarray(Image.fromarray(np.ascontiguousarray(samples)).convert("L"))
    return Rendered(grey, GreyWindow("colour"), 0)


def _read_tags(elements: Elements) -> DicomTags:
    body_part = elements.text("BodyPartExamined").upper()
    modality = elements.text("Modality")
    directions = elements.texts("PatientOrientation")
    side = elements.text("ImageLaterality") or elements.text("Laterality")
    oriented = len(directions) == 2 and all(map(_DIRECTIONS.fullmatch, directions))  # noqa: PLR2004
    return DicomTags(
        age_years=_age_years(elements.text("PatientAge")),
        view=_view(elements),
        body_part=None if not body_part else "chest" if body_part in _CHESTS else "other",
        modality=_MODALITIES.get(modality, "other") if modality else None,
        patient_orientation=(directions[0], directions[1]) if oriented else None,
        laterality=next((each for each in _SIDES if each == side), None),
    )


def _age_years(text: str) -> float | None:
    """Return an age; None for what is no Age String: a number without a unit is not guessed."""
    told = _AGE.fullmatch(text)
    age_years = int(told[1]) / _PER_YEAR[told[2]] if told else None
    return None if age_years is None or age_years > _MAX_AGE_YEARS else age_years


def _view(elements: Elements) -> DicomView | None:
    words = elements.text("ViewPosition").upper().split()
    if words:
        return _VIEWS.get(words[0], "other")
    codes = [item.text("CodeValue") for item in elements.items("ViewCodeSequence")]
    return next((_VIEW_CODES.get(code, "other") for code in codes if code), None)
