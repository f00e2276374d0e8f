"""All that is filed of one film: SR, Secondary Capture, FHIR, HL7; the bytes are made here, once.

What is made again has the same UIDs and other times: whoever sends it keeps the bytes until they
have arrived, and does not make them anew.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from pydicom.dataset import Dataset

from app.language import Language
from app.reading.reading import Reading
from app.render.hl7_message import make_hl7
from app.render.hospital.dicom_sr import make_sr
from app.render.hospital.fhir_bundle import make_fhir
from app.render.hospital.result_uid import result_uid
from app.render.hospital.secondary_capture import make_sc
from app.render.hospital.source_image import SourceImage

Kind = Literal["sr", "sc", "fhir", "hl7"]
KINDS: Final[tuple[Kind, ...]] = ("sr", "sc", "fhir", "hl7")
DICOM_TYPE: Final = "application/dicom"
FHIR_TYPE: Final = "application/fhir+json"
HL7_TYPE: Final = "application/hl7-v2"
"""As HAPI's HL7 over HTTP has it; IANA registered none."""


@dataclass(frozen=True, slots=True)
class Result:
    """One object of a result, as it is sent or kept.

    Parameters
    ----------
    uid : SOP Instance UID; of FHIR and HL7 that of the SR that says the same
    media_type : of `data`
    """

    kind: Kind
    uid: str
    media_type: str
    data: bytes


def make_results(
    reading: Reading,
    source: SourceImage,
    language: Language,
    made_at: datetime,
    kinds: tuple[Kind, ...] = KINDS,
) -> list[Result]:
    """Return what is filed of one film.

    A refused film has no Reading, and so nothing is filed of it.

    Parameters
    ----------
    source : the film, as `read_source_image` reads it
    language : of texts and of the picture's legend
    made_at : with a time zone
    """
    return [_MAKERS[kind](reading, source, language, made_at) for kind in kinds]


def _sr(reading: Reading, source: SourceImage, language: Language, made_at: datetime) -> Result:
    report = make_sr(reading, source, language, made_at)
    return Result("sr", report.SOPInstanceUID, DICOM_TYPE, _encode(report))


def _sc(reading: Reading, source: SourceImage, language: Language, made_at: datetime) -> Result:
    picture = make_sc(reading, source, language, made_at)
    return Result("sc", picture.SOPInstanceUID, DICOM_TYPE, _encode(picture))


def _fhir(reading: Reading, source: SourceImage, language: Language, made_at: datetime) -> Result:
    bundle = make_fhir(reading, source, language, made_at)
    return Result(
        "fhir", _sr_uid(reading, source), FHIR_TYPE, json.dumps(bundle, ensure_ascii=False).encode()
    )


def _hl7(reading: Reading, source: SourceImage, language: Language, made_at: datetime) -> Result:
    message = make_hl7(reading, source, language, made_at)
    return Result("hl7", _sr_uid(reading, source), HL7_TYPE, message)


def _sr_uid(reading: Reading, source: SourceImage) -> str:
    return result_uid("sr", source.sop_instance_uid, reading.card.sha256)


def _encode(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


_Maker = Callable[[Reading, SourceImage, Language, datetime], Result]
_MAKERS: Final[Mapping[Kind, _Maker]] = MappingProxyType(
    {"sr": _sr, "sc": _sc, "fhir": _fhir, "hl7": _hl7}
)
