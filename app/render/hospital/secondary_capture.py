"""The picture of a Reading as a DICOM Secondary Capture: what every viewer shows.

The film, beside it the map laid over it, and the legend, as of `app.render.overlay`. Not
compressed: every archive takes it, and nothing of it is lost.
"""

from datetime import datetime
from typing import Final

import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset

from app.language import Language
from app.reading.reading import Reading
from app.render.hospital.result_codes import DERIVED_FROM
from app.render.hospital.result_head import head_of, stamp
from app.render.hospital.result_uid import result_uid
from app.render.hospital.source_image import SourceImage
from app.render.overlay import paint_overlay

SERIES_NUMBER: Final = 9002
_UNKNOWN: Final = ("L", "F")


def make_sc(
    reading: Reading, source: SourceImage, language: Language, made_at: datetime
) -> SCImage:
    """Return the picture of one Reading.

    Parameters
    ----------
    source : the film
    language : of the legend
    made_at : with a time zone
    """
    card, image_uid = reading.card, source.sop_instance_uid
    picture = SCImage.from_ref_dataset(
        ref_dataset=source.as_dataset(),
        pixel_array=np.asarray(paint_overlay(reading, language)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=source.orientation or _UNKNOWN,
        series_instance_uid=result_uid("sc-series", image_uid, card.sha256),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uid("sc", image_uid, card.sha256),
        series_description="Neumo: AI map, not verified",
        specific_character_set=source.character_set,
        **head_of(card, made_at),
    )
    stamp(picture, made_at)
    if source.orientation is None:
        picture.PatientOrientation = []  # type 2C: there, and not known
    picture.ImageType = ["DERIVED", "SECONDARY"]
    picture.BodyPartExamined = "CHEST"
    picture.DerivationDescription = f"Film and class activation map by {card.name}"
    picture.SourceImageSequence = [_refer_to(source)]
    if source.burned_in is not None:
        picture.BurnedInAnnotation = source.burned_in
    return picture


def _refer_to(source: SourceImage) -> Dataset:
    """Say what the picture was made from (PS3.3 section 10.3)."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = DERIVED_FROM
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.sop_class_uid
    reference.ReferencedSOPInstanceUID = source.sop_instance_uid
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference
