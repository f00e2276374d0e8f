"""A Reading as a DICOM Comprehensive 3D SR, by the template TID 1500 (PS3.16).

Four groups tell a probability each, of what is told by a code; a fifth tells whether a label is
called, and if not, why. Only the label that an `ok` answer calls is a finding (121071, DCM): a
machine that collects findings gets none of an uncertain answer. Preliminary and not verified: it
is for a radiologist to look at.
"""

from datetime import datetime
from typing import Any, Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from app.language import Language
from app.reading.reading import Reading
from app.render import wording
from app.render.hospital import result_codes
from app.render.hospital.result_codes import FINDINGS, Code
from app.render.hospital.result_head import head_of, stamp
from app.render.hospital.result_uid import result_uid
from app.render.hospital.source_image import SourceImage

SERIES_NUMBER: Final = 9001
_DECIMALS: Final = 6


def make_sr(
    reading: Reading, source: SourceImage, language: Language, made_at: datetime
) -> Comprehensive3DSR:
    """Return the structured report of one film.

    Parameters
    ----------
    source : the film
    language : of reasons, warnings and the notice, which stand in it as text
    made_at : with a time zone
    """
    card, image_uid = reading.card, source.sop_instance_uid
    picture = _picture(reading, source)
    report = Comprehensive3DSR(
        evidence=[source.as_dataset(), picture],
        content=_content(reading, source, picture, language)[0],
        series_instance_uid=result_uid("sr-series", image_uid, card.sha256),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uid("sr", image_uid, card.sha256),
        series_description="Neumo: AI result, not verified",
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=result_codes.PRIVATE,
                name="Codes of Neumo's own",
                responsible_organization="Neumo",
            )
        ],
        is_complete=True,
        is_final=False,
        is_verified=False,
        **head_of(card, made_at),
    )
    stamp(report, made_at)
    return report


def _picture(reading: Reading, source: SourceImage) -> Dataset:
    """Return what identifies the Secondary Capture of the same Reading."""
    picture = Dataset()
    sha256 = reading.card.sha256
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = result_uid("sc", source.sop_instance_uid, sha256)
    picture.SeriesInstanceUID = result_uid("sc-series", source.sop_instance_uid, sha256)
    picture.StudyInstanceUID = source.study_uid
    return picture


def _content(
    reading: Reading, source: SourceImage, picture: Dataset, language: Language
) -> MeasurementReport:
    card = reading.card
    device = DeviceObserverIdentifyingAttributes(
        uid=result_uid("device", "", card.sha256),
        name="Neumo",
        manufacturer_name="Neumo",
        model_name=card.name,
        serial_number=card.sha256[:16],
    )
    spoken = result_codes.SPANISH if language == "es" else result_codes.ENGLISH
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=_coded(result_codes.PLAIN_CHEST_XRAY),
        imaging_measurements=_groups(reading, source),
        title=_coded(result_codes.REPORT),
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            _coded(spoken)
        ),
    )
    mapped = reading.judgement.label != "normal"
    report[0].ContentSequence.append(
        ImageContentItem(
            name=_coded(result_codes.SALIENCY if mapped else result_codes.PICTURE),
            referenced_sop_class_uid=picture.SOPClassUID,
            referenced_sop_instance_uid=picture.SOPInstanceUID,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
    )
    for text in _texts(reading, language):
        report[0].ContentSequence.append(
            TextContentItem(
                name=_coded(result_codes.COMMENT),
                value=text,
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
    return report


def _groups(reading: Reading, source: SourceImage) -> list[MeasurementsAndQualitativeEvaluations]:
    card, judgement = reading.card, reading.judgement
    of = SourceImageForMeasurementGroup(source.sop_class_uid, source.sop_instance_uid)
    algorithm = AlgorithmIdentification(
        name=card.name, version=card.version, parameters=[f"sha256={card.sha256}"]
    )

    def group(name: str, **more: Any) -> MeasurementsAndQualitativeEvaluations:  # noqa: ANN401
        uid = result_uid(f"tracking-{name}", source.sop_instance_uid, card.sha256)
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=uid, identifier=name),
            algorithm_id=algorithm,
            source_images=[of],
            **more,
        )

    groups = []
    for label, share in judgement.probabilities.items():
        found: dict[str, Any] = {}
        if judgement.status == "ok" and label == judgement.label:
            found["finding_category"] = _coded(result_codes.FINDING)
            found["finding_type"] = _coded(FINDINGS[label])
        probability = Measurement(
            name=_coded(result_codes.PROBABILITY),
            value=round(share, _DECIMALS),
            unit=_coded(result_codes.NO_UNITS),
        )
        groups.append(
            group(
                label,
                finding_sites=[FindingSite(_coded(result_codes.CHEST))],
                measurements=[probability],
                qualitative_evaluations=[_evaluation(result_codes.PROBABILITY_OF, FINDINGS[label])],
                **found,
            )
        )
    answers = [_evaluation(result_codes.STATUS, result_codes.STATUSES[judgement.status])]
    answers += [
        _evaluation(result_codes.REASON, result_codes.REASONS[code]) for code in judgement.reasons
    ]
    answers += [
        _evaluation(result_codes.WARNING, result_codes.WARNINGS[code])
        for code in judgement.warnings
    ]
    return [*groups, group("status", qualitative_evaluations=answers)]


def _texts(reading: Reading, language: Language) -> list[str]:
    judgement = reading.judgement
    return [
        *(wording.REASONS[code].render(language) for code in judgement.reasons),
        *(wording.WARNINGS[code].render(language) for code in judgement.warnings),
        wording.NOTICE.render(language),
    ]


def _evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=_coded(name), value=_coded(value))


def _coded(code: Code) -> CodedConcept:
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
