"""A Reading as FHIR R4: a transaction of Device, ImagingStudy, Observations, DiagnosticReport.

Plain dicts, after HL7's guide from DICOM SR to FHIR: the algorithm is a Device, each probability an
Observation of (122157, DCM). Every entry is created on condition that no resource has its
identifier, so that a transaction that is sent twice makes nothing twice. The patient is referred to
by the number in the film, and not described.
"""

from datetime import datetime
from typing import Any, Final

from app.language import Language
from app.reading.reading import Reading
from app.render import wording
from app.render.hospital import result_codes
from app.render.hospital.result_codes import FINDINGS, Code
from app.render.hospital.result_uid import result_uid, result_uuid
from app.render.hospital.source_image import SourceImage

Resource = dict[str, Any]

_SYSTEMS: Final = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    result_codes.PRIVATE: "urn:neumo:codes",
}
_UCUM: Final = "http://unitsofmeasure.org"
_URI: Final = "urn:ietf:rfc:3986"
_DICOM_UID: Final = "urn:dicom:uid"
_MODEL_SHA256: Final = "urn:neumo:model-sha256"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_CHEST_XRAY: Final = Code("30745-4", "LN", "Radiology XR Chest Views")
_MOST_DECIMALS: Final = 6


def make_fhir(
    reading: Reading, source: SourceImage, language: Language, made_at: datetime
) -> Resource:
    """Return the transaction of one film.

    Parameters
    ----------
    source : the film
    language : of texts for people; codes have their English meanings
    made_at : with a time zone
    """
    return _Transaction(reading, source, language, made_at).bundle()


class _Transaction:
    """The resources of one Reading, and how they refer to each other."""

    def __init__(
        self, reading: Reading, source: SourceImage, language: Language, made_at: datetime
    ) -> None:
        self._reading, self._source, self._language = reading, source, language
        self._issued = made_at.isoformat(timespec="seconds")
        self._patient = _refer_to_patient(source)

    def bundle(self) -> Resource:
        """Return the Bundle; what is referred to stands before what refers to it."""
        labels = list(self._reading.judgement.probabilities)
        entries = [
            self._entry("device", self._device()),
            self._entry("study", self._study()),
            *(self._entry(label, self._probability(label)) for label in labels),
            self._entry("status", self._status()),
            self._entry("report", self._report([*labels, "status"])),
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    def _entry(self, name: str, resource: Resource) -> Resource:
        (identifier, *_) = resource["identifier"]
        return {
            "fullUrl": self._uri(name),
            "resource": resource,
            "request": {
                "method": "POST",
                "url": resource["resourceType"],
                "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
            },
        }

    def _uri(self, name: str) -> str:
        uid = result_uuid(f"fhir-{name}", self._source.sop_instance_uid, self._reading.card.sha256)
        return f"urn:uuid:{uid}"

    def _refer(self, name: str, resource_type: str) -> Resource:
        return {"reference": self._uri(name), "type": resource_type}

    def _device(self) -> Resource:
        card = self._reading.card
        return {
            "resourceType": "Device",
            "identifier": [{"system": _MODEL_SHA256, "value": card.sha256}],
            "manufacturer": "Neumo",
            "deviceName": [{"name": "Neumo", "type": "manufacturer-name"}],
            "modelNumber": card.name,
            "version": [{"value": card.version}],
            "type": {"text": "Software that reads chest X-rays; not a medical device"},
        }

    def _study(self) -> Resource:
        source = self._source
        instance = {
            "uid": source.sop_instance_uid,
            "sopClass": {"system": _URI, "code": f"urn:oid:{source.sop_class_uid}"},
        }
        series = {
            "uid": source.series_uid,
            "modality": {"system": _SYSTEMS["DCM"], "code": source.modality},
            "instance": [instance],
        }
        study: Resource = {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{source.study_uid}"}],
            "status": "available",
            "subject": self._patient,
            "series": [series],
        }
        accession = source.attributes.get("AccessionNumber")
        if accession:
            kind = {"coding": [{"system": f"{_HL7}/v2-0203", "code": "ACSN"}]}
            study["identifier"].append({"type": kind, "value": accession})
        return study | self._started("started")

    def _started(self, member: str) -> Resource:
        """Return when the film was taken, as a day: the hour of a film has no time zone."""
        day = self._source.attributes.get("StudyDate")
        return {member: f"{day[:4]}-{day[4:6]}-{day[6:]}"} if day else {}

    def _observation(self, name: str) -> Resource:
        return {
            "resourceType": "Observation",
            "identifier": [{"system": _URI, "value": self._uri(name)}],
            "status": "preliminary",
            "category": [_concept_of(f"{_HL7}/observation-category", "imaging", "Imaging")],
            "subject": self._patient,
            **self._started("effectiveDateTime"),
            "issued": self._issued,
            "device": self._refer("device", "Device"),
            "derivedFrom": [self._refer("study", "ImagingStudy")],
        }

    def _probability(self, label: Any) -> Resource:  # noqa: ANN401
        judgement = self._reading.judgement
        finding = FINDINGS[label]
        quantity = {
            "value": round(judgement.probabilities[label], _MOST_DECIMALS),
            "unit": "1",
            "system": _UCUM,
            "code": "1",
        }
        code = _concept(result_codes.PROBABILITY) | {"text": f"Probability of: {finding.meaning}"}
        return self._observation(label) | {
            "code": code,
            "valueQuantity": quantity,
            "bodySite": _concept(result_codes.CHEST),
            "component": [
                {
                    "code": _concept(result_codes.PROBABILITY_OF),
                    "valueCodeableConcept": _concept(finding),
                }
            ],
        }

    def _status(self) -> Resource:
        judgement = self._reading.judgement
        told = [(result_codes.REASON, result_codes.REASONS[code]) for code in judgement.reasons] + [
            (result_codes.WARNING, result_codes.WARNINGS[code]) for code in judgement.warnings
        ]
        status: Resource = {
            "code": _concept(result_codes.STATUS),
            "valueCodeableConcept": _concept(result_codes.STATUSES[judgement.status]),
        }
        if told:
            status["component"] = [
                {"code": _concept(name), "valueCodeableConcept": _concept(value)}
                for name, value in told
            ]
        return self._observation("status") | status

    def _report(self, results: list[str]) -> Resource:
        reading, language = self._reading, self._language
        judgement, card = reading.judgement, reading.card
        report: Resource = {
            "resourceType": "DiagnosticReport",
            "identifier": [
                {
                    "system": _DICOM_UID,
                    "value": "urn:oid:"
                    + result_uid("sr", self._source.sop_instance_uid, card.sha256),
                }
            ],
            "status": "preliminary",
            "category": [_concept_of(f"{_HL7}/v2-0074", "RAD", "Radiology")],
            "code": _concept(_CHEST_XRAY),
            "subject": self._patient,
            **self._started("effectiveDateTime"),
            "issued": self._issued,
            "result": [self._refer(name, "Observation") for name in results],
            "imagingStudy": [self._refer("study", "ImagingStudy")],
            "conclusion": " ".join(self._sentences(language)),
        }
        if judgement.status == "ok":
            report["conclusionCode"] = [_concept(FINDINGS[judgement.label])]
        return report

    def _sentences(self, language: Language) -> list[str]:
        judgement, card = self._reading.judgement, self._reading.card
        if judgement.status == "ok":
            share = judgement.probabilities[judgement.label]
            called = f"{card.display(judgement.label, language)}: {share:.1%}."
        else:
            called = wording.NO_LABEL.render(language)
        return [
            called,
            *(wording.REASONS[code].render(language) for code in judgement.reasons),
            *(wording.WARNINGS[code].render(language) for code in judgement.warnings),
            wording.NOTICE.render(language),
        ]


def _refer_to_patient(source: SourceImage) -> Resource:
    """Return a logical reference: which Patient it is, the server or whoever reads it decides."""
    number = source.attributes.get("PatientID")
    if not number:
        return {"display": "The film does not say"}
    identifier: Resource = {"value": number}
    issuer = source.attributes.get("IssuerOfPatientID")
    if issuer:
        identifier["assigner"] = {"display": issuer}
    return {"type": "Patient", "identifier": identifier}


def _concept(code: Code) -> Resource:
    return _concept_of(_SYSTEMS[code.scheme], code.value, code.meaning)


def _concept_of(system: str, value: str, display: str) -> Resource:
    coding = {"system": system, "code": value, "display": display}
    return {"coding": [coding], "text": display}
