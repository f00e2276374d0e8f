"""The film that a result is of, as its own file names it: UIDs, study and patient.

A result has to carry these, or it can't be filed beside the film. What is not valid by its VR
(PS3.5 section 6.2) is left out, as if the file did not say it: a result with an attribute that
an archive refuses would be lost. Texts are decoded by the file's character set (PS3.5 section 6.1).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from types import MappingProxyType
from typing import Final

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from app.errors import RequestError, StudyUnknown
from app.image.dicom.dataset import Elements, read_elements
from app.image.dicom.file_meta import read_file_meta

FILM_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # and for processing
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.2",  # of several frames: grey of a byte, grey of a word, colour
        "1.2.840.10008.5.1.4.1.1.7.3",
        "1.2.840.10008.5.1.4.1.1.7.4",
    }
)
"""SOP classes that a film of a chest comes as: of others no result is filed."""

_DIRECTIONS: Final = re.compile(r"[LRAPHF]{1,3}", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?", re.ASCII)
_AGE: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)
_SEXES: Final = ("M", "F", "O")
_MOST_NAME_GROUPS: Final = 3
_MOST_NAME_PARTS: Final = 5
_MOST_GROUP_CHARACTERS: Final = 64
_MOST_CHARACTER_SETS: Final = 6
_MOST_VALUE_BYTES: Final = 1024
_LATIN_1: Final = "ISO_IR 100"
_UTF_8: Final = "ISO_IR 192"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A film that a result can be filed beside.

    Parameters
    ----------
    attributes : of the patient and the study, by DICOM keyword; only valid ones, none empty
    orientation : where rows and columns lead, such as L and F, if the file says it
    burned_in : Burned In Annotation (0028,0301), if the file says it
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    modality: str
    attributes: Mapping[str, str]
    orientation: tuple[str, str] | None = None
    burned_in: str | None = None

    @property
    def character_set(self) -> str:
        """Specific Character Set (0008,0005) that holds the attributes and texts of Neumo's own."""
        try:
            "".join(self.attributes.values()).encode("latin-1")
        except UnicodeEncodeError:
            return _UTF_8
        return _LATIN_1

    def as_dataset(self) -> Dataset:
        """Return what a result inherits and refers to, as highdicom takes it."""
        source = Dataset()
        source.SOPClassUID, source.SOPInstanceUID = self.sop_class_uid, self.sop_instance_uid
        source.StudyInstanceUID, source.SeriesInstanceUID = self.study_uid, self.series_uid
        source.SpecificCharacterSet = self.character_set
        for keyword in REQUIRED:  # present though empty: type 2 (PS3.5 section 7.4.3)
            setattr(source, keyword, self.attributes.get(keyword, ""))
        for keyword, value in self.attributes.items():
            setattr(source, keyword, value)
        return source


def read_source_image(data: bytes) -> SourceImage:
    """Read what a DICOM file says of itself, of its study and of its patient.

    Parameters
    ----------
    data : a whole file, which has been read as a film before

    Raises
    ------
    StudyUnknown
        If it is no DICOM file of `FILM_CLASSES`, or lacks the UIDs without which nothing can be
        filed beside it.
    """
    try:
        elements, _ = read_elements(data, read_file_meta(data), _TAGS)
    except RequestError:
        raise StudyUnknown from None
    sop_class, instance, series, study = (
        elements.uid(name)
        for name in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    )
    if not (sop_class in FILM_CLASSES and instance and series and study):
        raise StudyUnknown
    encodings = _find_encodings(elements)
    attributes = {}
    for keyword, (_, is_valid) in _ATTRIBUTES.items():
        value = _decode(elements.bytes(keyword), encodings)
        if value and is_valid(value):
            attributes[keyword] = value
    directions = elements.texts("PatientOrientation")
    oriented = len(directions) == 2 and all(map(_DIRECTIONS.fullmatch, directions))  # noqa: PLR2004
    burned_in = elements.text("BurnedInAnnotation")
    modality = elements.text("Modality")
    return SourceImage(
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        series_uid=series,
        study_uid=study,
        modality=modality if modality in ("CR", "DX") else "OT",
        attributes=MappingProxyType(attributes),
        orientation=(directions[0], directions[1]) if oriented else None,
        burned_in=burned_in if burned_in in ("YES", "NO") else None,
    )


def _find_encodings(elements: Elements) -> list[str]:
    """Return Python's names of the file's character sets, up to the first that is none."""
    terms = elements.texts("SpecificCharacterSet")[:_MOST_CHARACTER_SETS]
    if terms in ([], [""], ["ISO_IR 6"]):
        return ["ascii"]  # what pydicom takes for Latin-1, and a name in UTF-8 for another name
    known = list(takewhile(python_encoding.__contains__, terms))
    return [python_encoding[term] for term in known] or ["ascii"]


def _decode(value: bytes, encodings: list[str]) -> str:
    """Return a text; empty if its bytes are none of the file's character set."""
    if len(value) > _MOST_VALUE_BYTES:
        return ""
    # All texts by the rules of names: groups of "=" may each shift in a character set of its own.
    text = str(PersonName(value.rstrip(b"\0"), encodings).decode()).strip(" ")
    return "" if "\N{REPLACEMENT CHARACTER}" in text else text


def _is_text(most_characters: int) -> Callable[[str], bool]:
    def is_text(value: str) -> bool:
        return len(value) <= most_characters and value.isprintable() and "\\" not in value

    return is_text


def _is_name(value: str) -> bool:
    groups = value.split("=")
    return (
        value.isprintable()
        and "\\" not in value
        and len(groups) <= _MOST_NAME_GROUPS
        and all(
            len(group) <= _MOST_GROUP_CHARACTERS and group.count("^") < _MOST_NAME_PARTS
            for group in groups
        )
    )


def _is_date(value: str) -> bool:
    if len(value) != len("YYYYMMDD") or not (value.isascii() and value.isdigit()):
        return False
    try:
        datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007 - only whether there is such a day
    except ValueError:
        return False
    return True


_ATTRIBUTES: Final[Mapping[str, tuple[int, Callable[[str], object]]]] = MappingProxyType(
    {
        "PatientName": (0x00100010, _is_name),
        "PatientID": (0x00100020, _is_text(64)),
        "IssuerOfPatientID": (0x00100021, _is_text(64)),
        "PatientBirthDate": (0x00100030, _is_date),
        "PatientSex": (0x00100040, _SEXES.__contains__),
        "PatientAge": (0x00101010, _AGE.fullmatch),
        "StudyDate": (0x00080020, _is_date),
        "StudyTime": (0x00080030, _TIME.fullmatch),
        "StudyID": (0x00200010, _is_text(16)),
        "AccessionNumber": (0x00080050, _is_text(16)),
        "ReferringPhysicianName": (0x00080090, _is_name),
        "StudyDescription": (0x00081030, _is_text(64)),
    }
)
"""Of the patient and the study: tag, and what is valid by the value's VR."""

REQUIRED: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that have to be there, if need be without a value."""

_TAGS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SpecificCharacterSet": 0x00080005,
        "SOPClassUID": 0x00080016,
        "SOPInstanceUID": 0x00080018,
        "Modality": 0x00080060,
        "PatientOrientation": 0x00200020,
        "StudyInstanceUID": 0x0020000D,
        "SeriesInstanceUID": 0x0020000E,
        "BurnedInAnnotation": 0x00280301,
        **{keyword: tag for keyword, (tag, _) in _ATTRIBUTES.items()},
    }
)
