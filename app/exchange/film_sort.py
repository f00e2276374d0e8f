"""What becomes of an object that an archive sends: read, dropped, or refused.

Archives forward whole studies, and send back what they were sent: reports, presentation states and
Neumo's own results come with the films. Those are taken and forgotten, or the archive's job would
fail, or a result would be read as a film and get a result itself, and so on.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from app.errors import DicomUnsupported, NeumoError, RequestError, StudyUnknown
from app.image.dicom.dataset import Elements, read_elements
from app.image.dicom.file_meta import read_file_meta
from app.render.hospital.result_uid import result_uid
from app.render.hospital.source_image import FILM_CLASSES

Verdict = Literal["read", "drop", "refuse"]

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
DROPPED_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{_STORAGE}88.11": "Basic Text SR",
        f"{_STORAGE}88.22": "Enhanced SR",
        f"{_STORAGE}88.33": "Comprehensive SR",
        f"{_STORAGE}88.34": "Comprehensive 3D SR",
        f"{_STORAGE}88.35": "Extensible SR",
        f"{_STORAGE}88.40": "Procedure Log",
        f"{_STORAGE}88.59": "Key Object Selection Document",
        f"{_STORAGE}88.65": "Chest CAD SR",
        f"{_STORAGE}88.67": "X-Ray Radiation Dose SR",
        f"{_STORAGE}11.1": "Grayscale Softcopy Presentation State",
        f"{_STORAGE}11.2": "Color Softcopy Presentation State",
        f"{_STORAGE}11.3": "Pseudo-Color Softcopy Presentation State",
        f"{_STORAGE}11.4": "Blending Softcopy Presentation State",
        f"{_STORAGE}104.1": "Encapsulated PDF",
        f"{_STORAGE}104.2": "Encapsulated CDA",
        f"{_STORAGE}30": "Parametric Map",
        f"{_STORAGE}66": "Raw Data",
        f"{_STORAGE}66.4": "Segmentation",
    }
)
"""SOP classes that come with a film in its study and hold none (PS3.4 section B.5)."""

_MANUFACTURER: Final = "Neumo"
_OWN_KINDS: Final = ("sc", "sr")
_TAGS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SOPClassUID": 0x00080016,
        "SOPInstanceUID": 0x00080018,
        "Manufacturer": 0x00080070,
        "SourceImageSequence": 0x00082112,
        "ReferencedSOPInstanceUID": 0x00081155,
        "StudyInstanceUID": 0x0020000D,
        "SeriesInstanceUID": 0x0020000E,
    }
)


@dataclass(frozen=True, slots=True)
class SortedFilm:
    """What becomes of one object.

    Parameters
    ----------
    sop_class, sop_uid, study_uid : as the object says; empty where it does not, or was not asked
        (the study of what is dropped by its class)
    error : why it is refused
    """

    verdict: Verdict
    sop_class: str = ""
    sop_uid: str = ""
    study_uid: str = ""
    error: NeumoError | None = None


def sort_class(sop_class: str) -> Verdict:
    """Return what becomes of objects of a SOP class; `read` if that depends on the object."""
    if sop_class in FILM_CLASSES:
        return "read"
    return "drop" if sop_class in DROPPED_CLASSES else "refuse"


def sort_film(data: bytes, models: Collection[str] = ()) -> SortedFilm:
    """Return what becomes of a DICOM file (PS3.10).

    Nothing of its pixels is looked at: whether a film can be read shows when it is.

    Parameters
    ----------
    data : a whole file
    models : SHA-256 of the models that read here, whose results are known by their UIDs too
    """
    try:
        meta = read_file_meta(data)
        if sort_class(meta.sop_class) == "drop":  # without pixels: not to be walked to them
            return SortedFilm("drop", meta.sop_class, meta.sop_instance)
        elements, _ = read_elements(data, meta, _TAGS)
    except RequestError as error:
        return SortedFilm("refuse", error=error)
    sop_class, instance, study, series = (
        elements.uid(name) or ""
        for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    told = SortedFilm(sort_class(sop_class), sop_class, instance, study)
    if told.verdict == "refuse":
        return replace(told, error=DicomUnsupported() if sop_class else StudyUnknown())
    if told.verdict == "read" and not (instance and study and series):
        return replace(told, verdict="refuse", error=StudyUnknown())
    return replace(told, verdict="drop") if _is_own(elements, instance, models) else told


def _is_own(elements: Elements, instance: str, models: Collection[str]) -> bool:
    """Return whether Neumo made it: by its maker, or, if an archive changed that, by its UID."""
    if elements.text("Manufacturer") == _MANUFACTURER:
        return True
    try:
        sources = [
            source.uid("ReferencedSOPInstanceUID")
            for source in elements.items("SourceImageSequence")
        ]
    except RequestError:  # not to be read: so Neumo did not write it
        return False
    return any(
        instance == result_uid(kind, source, model)
        for source in sources
        if source
        for model in models
        for kind in _OWN_KINDS
    )
