"""From a DICOM file to grey, as the standard shows it, with what the file says of it."""

import hashlib
import re
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import DicomUnsupported, ImageUndecodable
from app.image import jpeg
from app.image.dicom import codec_pool, pixels
from app.image.dicom.codec_pool import Task
from app.image.dicom.codestream import Codestream, join_fragments, read_codestream
from app.image.dicom.dataset import Elements, read_elements
from app.image.dicom.file_meta import Coding, FileMeta, TransferSyntax, read_file_meta
from app.image.dicom.grey_scale import Rendered, check_window, render
from app.image.dicom.pixels import Layout, PixelElement, Words, read_layout, read_pixel_element
from app.image.grey_image import (
    MAX_AGE_YEARS,
    DicomFacts,
    DicomTags,
    DicomView,
    GreyImage,
    GreyWindow,
    ImageFacts,
    Limits,
    read_age_string,
)

_CLASS: Final = "1.2.840.10008.5.1.4.1.1."
_READ_CLASSES: Final = frozenset(
    _CLASS + each
    for each in ("1", "1.1", "7")  # CR, DX for presentation, secondary capture
)
_DX_FOR_PROCESSING: Final = _CLASS + "1.1.1"
_MULTI_FRAME: Final = tuple(_CLASS + each for each in ("7.1", "7.2", "7.3", "7.4"))

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

_REDUCED_PX: Final = 896
"""JPEG 2000 is decoded at a half, a quarter .. but to no fewer pixels a side."""


def decode_film(
    data: bytes, limits: Limits, window: int | None = None, least_px: int = 0
) -> GreyImage:
    """Decode a DICOM file to grey.

    Parameters
    ----------
    window : which of its VOI LUTs and windows, from 0, LUTs first; the first if None
    least_px : as of `app.image.decode.decode`

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
    element = read_pixel_element(
        data,
        at,
        little_endian=meta.transfer_syntax.is_little_endian,
        encapsulated=meta.transfer_syntax.coding != "native",
    )
    words = _read_words(element, meta.transfer_syntax, layout, limits.decode_s, least_px)
    if layout.samples > 1:
        check_window(window, 0)
        rendered = _show_colours(words.array, layout)
    else:
        rendered = render(elements, layout, words, window)
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


def _read_words(
    element: PixelElement, syntax: TransferSyntax, layout: Layout, limit_s: float, least_px: int
) -> Words:
    """Return the pixels as they are stored, decoded; of colours the words are samples."""
    bits, shift = layout.bits_stored, layout.high_bit + 1 - layout.bits_stored
    if not element.is_encapsulated:
        samples = pixels.native_samples(layout, element, little_endian=syntax.is_little_endian)
        return Words(samples, bits, shift)
    codestream = read_codestream(join_fragments(element.value), syntax.coding, layout)
    samples = _decode(codestream, syntax.coding, layout, limit_s, least_px)
    return Words(samples, bits, shift if syntax.coding == "rle" else 0)


def _decode(
    codestream: Codestream, coding: Coding, layout: Layout, limit_s: float, least_px: int
) -> NDArray[Any]:
    """Decode compressed pixels; common JPEGs here, as those that are no DICOM, all else elsewhere.

    Returns
    -------
    as of `pixels.native_samples`, or reduced
    """
    photometric = layout.photometric_interpretation
    common = coding == "jpeg" and codestream.bits == 8 and not codestream.is_lossless_jpeg  # noqa: PLR2004
    if coding == "jpeg":
        structure = jpeg.read_structure(codestream.data)
        if not structure.is_sane or structure.takes_too_long(layout.rows * layout.columns):
            raise ImageUndecodable(format="DICOM")
        if common and photometric != "RGB":
            data, width, height = codestream.data, layout.columns, layout.rows
            return jpeg.decode_grey(data, structure, width, height, "L", least_px)
    least_px = max(least_px, _REDUCED_PX)
    halvings = 0
    while (
        halvings < codestream.levels
        and min(layout.rows, layout.columns) >> halvings + 1 >= least_px
        and not codestream.is_signed
    ):
        halvings += 1
    task = Task(
        coding,
        width=layout.columns,
        height=layout.rows,
        components=codestream.components,
        bits=codestream.bits,
        itemsize=1 if codestream.bits <= 8 else 2,  # noqa: PLR2004
        signed=codestream.is_signed,
        reduce=halvings,
        space="RGB" if photometric in pixels.RGB else "YCBCR",
    )
    return codec_pool.decode(codestream.data, task, limit_s)


def _show_colours(samples: NDArray[np.uint8], layout: Layout) -> Rendered:
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
    """Return an age that a person can have; None for any other text."""
    age_years = read_age_string(text)
    return None if age_years is None or age_years > MAX_AGE_YEARS else age_years


def _view(elements: Elements) -> DicomView | None:
    words = elements.text("ViewPosition").upper().split()
    if words:
        return _VIEWS.get(words[0], "other")
    codes = [item.text("CodeValue") for item in elements.items("ViewCodeSequence")]
    return next((_VIEW_CODES.get(code, "other") for code in codes if code), None)
