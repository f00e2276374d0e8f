"""app.render.hospital.fhir_bundle: FHIR R4 by fhir.resources (R4B), and by required value sets.

fhir.resources checks the form, and no value set: "nonsense" is a status to it. So those are here.
"""

import json
import re
from typing import Any

import pytest

from app.language import Language
from app.render.hospital.fhir_bundle import make_fhir
from app.render.hospital.result_set import make_results
from app.render.hospital.source_image import read_source_image
from app.render.wording import NOTICE, REASONS, WARNINGS
from tests.app.render.hospital.results import (
    COVID,
    DOUBT,
    INSTANCE,
    LATER,
    MADE_AT,
    NORMAL,
    SERIES,
    STUDY,
    film,
    read,
)  # fmt: skip

bundle_module = pytest.importorskip("fhir.resources.R4B.bundle")

Json = dict[str, Any]
# The required bindings of hl7.org/fhir/R4 that the resources here touch.
REQUIRED = {
    ("Bundle", "type"): {"transaction", "batch", "collection", "document", "message"},
    ("Observation", "status"): {
        "registered", "preliminary", "final", "amended", "corrected", "cancelled",
        "entered-in-error", "unknown",
    },
    ("DiagnosticReport", "status"): {
        "registered", "partial", "preliminary", "final", "amended", "corrected", "appended",
        "cancelled", "entered-in-error", "unknown",
    },
    ("ImagingStudy", "status"): {
        "registered", "available", "cancelled", "entered-in-error", "unknown",
    },
}  # fmt: skip
DEVICE_NAMES = {
    "udi-label-name", "user-friendly-name", "patient-reported-name", "manufacturer-name",
    "model-name", "other",
}  # fmt: skip
KNOWN_CODES = {
    "http://terminology.hl7.org/CodeSystem/observation-category": {"imaging"},
    "http://terminology.hl7.org/CodeSystem/v2-0074": {"RAD"},
    "http://terminology.hl7.org/CodeSystem/v2-0203": {"ACSN"},
    "http://loinc.org": {"30745-4"},
    "http://dicom.nema.org/resources/ontology/DCM": {"122157", "CR", "DX"},
    "http://snomed.info/sct": {"840539006", "53084003", "75570004", "51185008"},
    "http://unitsofmeasure.org": {"1"},
    "urn:ietf:rfc:3986": {"urn:oid:1.2.840.10008.5.1.4.1.1.1"},
}


def bundle_of(
    probabilities: tuple[float, ...] = COVID, language: Language = "en", data: bytes | None = None
) -> Json:
    data = data or film()
    return make_fhir(read(data, probabilities), read_source_image(data), language, MADE_AT)


def resources(bundle: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def walk(value: object) -> list[Json]:
    """Return every object in a JSON value."""
    if isinstance(value, dict):
        return [value, *(each for member in value.values() for each in walk(member))]
    if isinstance(value, list):
        return [each for member in value for each in walk(member)]
    return []


def fault_of_value_sets(bundle: Json) -> list[str]:
    faults = []
    for each in walk(bundle):
        for (kind, member), allowed in REQUIRED.items():
            if each.get("resourceType") == kind and each.get(member) not in allowed:
                faults.append(f"{kind}.{member}")
        faults += [
            f"deviceName {name['type']}"
            for name in each.get("deviceName", [])
            if name["type"] not in DEVICE_NAMES
        ]
        system, code = str(each.get("system")), each.get("code")
        foreign = isinstance(code, str) and system != "urn:neumo:codes"
        if foreign and code not in KNOWN_CODES.get(system, ()):
            faults.append(f"{system}|{code}")
    return faults


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("probabilities", [COVID, NORMAL, DOUBT])
@pytest.mark.parametrize("anonymous", [False, True])
def test_it_is_valid(
    probabilities: tuple[float, ...], language: Language, *, anonymous: bool
) -> None:
    nobody = dict.fromkeys((0x00100020, 0x00100021, 0x00080020, 0x00080050))
    bundle = bundle_of(probabilities, language, film(nobody) if anonymous else None)
    bundle_module.Bundle.model_validate(bundle)
    assert fault_of_value_sets(bundle) == []


def test_the_checks_would_find_a_fault() -> None:
    bundle = bundle_of()
    resources(bundle, "DiagnosticReport")[0]["status"] = "nonsense"
    resources(bundle, "Observation")[0]["valueQuantity"]["code"] = "percent"
    assert fault_of_value_sets(bundle) == [
        "http://unitsofmeasure.org|percent", "DiagnosticReport.status",
    ]  # fmt: skip
    del resources(bundle, "DiagnosticReport")[0]["code"]
    with pytest.raises(ValueError, match="code"):
        bundle_module.Bundle.model_validate(bundle)


def test_each_probability_is_an_observation_of_a_probability() -> None:
    observations = resources(bundle_of(), "Observation")
    assert len(observations) == 5
    for observation, share in zip(observations, COVID, strict=False):
        assert observation["code"]["coding"][0]["code"] == "122157"
        assert observation["valueQuantity"]["value"] == pytest.approx(share, abs=1e-6)
    of = [
        observation["component"][0]["valueCodeableConcept"]["coding"][0]["code"]
        for observation in observations[:4]
    ]
    assert of == ["none-of-three", "840539006", "53084003", "75570004"]


@pytest.mark.parametrize(
    ("probabilities", "called"), [(COVID, ["840539006"]), (NORMAL, ["none-of-three"]), (DOUBT, [])]
)
def test_only_an_answer_that_is_ok_concludes(
    probabilities: tuple[float, ...], called: list[str]
) -> None:
    bundle = bundle_of(probabilities)
    (report,) = resources(bundle, "DiagnosticReport")
    codes = [concept["coding"][0]["code"] for concept in report.get("conclusionCode", [])]
    assert codes == called
    assert report["status"] == "preliminary"
    # Wherever a finding's code stands otherwise, it is what a probability is of.
    for observation in resources(bundle, "Observation"):
        assert not {"840539006", "53084003", "75570004"} & {
            coding["code"] for coding in observation["code"]["coding"]
        }


@pytest.mark.parametrize(("language", "said"), [("en", "no label"), ("es", "ninguna etiqueta")])
def test_an_uncertain_answer_says_so_and_why(language: Language, said: str) -> None:
    bundle = bundle_of(DOUBT, language)
    reading = read(film(), DOUBT)
    (report,) = resources(bundle, "DiagnosticReport")
    assert said in report["conclusion"]
    for code in reading.judgement.reasons:
        assert REASONS[code].render(language) in report["conclusion"]
    for warning in reading.judgement.warnings:
        assert WARNINGS[warning].render(language) in report["conclusion"]
    assert report["conclusion"].endswith(NOTICE.render(language))
    status = resources(bundle, "Observation")[-1]
    assert status["valueCodeableConcept"]["coding"][0]["code"] == "uncertain"
    reasons = [
        each["valueCodeableConcept"]["coding"][0]["code"]
        for each in status["component"]
        if each["code"]["coding"][0]["code"] == "reason"
    ]
    assert reasons == reading.judgement.reasons


@pytest.mark.parametrize(("language", "name"), [("en", "COVID-19"), ("es", "COVID-19: 97.0%")])
def test_an_answer_that_is_ok_says_its_label_first(language: Language, name: str) -> None:
    (report,) = resources(bundle_of(COVID, language), "DiagnosticReport")
    assert report["conclusion"].startswith(name)


def test_it_refers_to_the_patient_by_number_and_names_nobody() -> None:
    bundle = bundle_of()
    text = json.dumps(bundle)
    for resource in [*resources(bundle, "ImagingStudy"), *resources(bundle, "Observation")]:
        assert resource["subject"]["identifier"] == {
            "value": "MRN-4711", "assigner": {"display": "Hospital A"},
        }  # fmt: skip
    for word in ("Doe", "Jane", "Rita", "1965"):
        assert word not in text


def test_what_the_film_does_not_say_is_not_made_up() -> None:
    nobody = dict.fromkeys((0x00100020, 0x00100021, 0x00080020, 0x00080050))
    bundle = bundle_of(data=film(nobody))
    (study,) = resources(bundle, "ImagingStudy")
    assert "started" not in study
    assert study["subject"] == {"display": "The film does not say"}
    (report,) = resources(bundle, "DiagnosticReport")
    assert "effectiveDateTime" not in report


def test_study_series_and_film_are_named() -> None:
    (study,) = resources(bundle_of(), "ImagingStudy")
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
    assert study["identifier"][1]["value"] == "ACC-77"
    (series,) = study["series"]
    assert (series["uid"], series["modality"]["code"]) == (SERIES, "CR")
    assert series["instance"][0]["uid"] == INSTANCE
    assert study["started"] == "2026-11-27"


def test_every_reference_leads_somewhere_and_every_entry_is_made_once() -> None:
    bundle = bundle_of()
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls) == 8
    referenced = {each["reference"] for each in walk(bundle) if "reference" in each}
    assert referenced <= set(urls)
    for entry in bundle["entry"]:
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", entry["fullUrl"])
        identifier = entry["resource"]["identifier"][0]
        assert entry["request"] == {
            "method": "POST",
            "url": entry["resource"]["resourceType"],
            "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
        }
    conditions = [entry["request"]["ifNoneExist"] for entry in bundle["entry"]]
    assert len(set(conditions)) == len(conditions)


def test_made_again_only_the_time_differs_and_the_report_is_that_of_the_sr() -> None:
    data = film()
    reading, source = read(data), read_source_image(data)
    first, again = (make_fhir(reading, source, "en", at) for at in (MADE_AT, LATER))
    text = json.dumps(again).replace("2026-12-01T00:00:00+00:00", "2026-11-28T12:30:15-05:00")
    assert json.loads(text) == first
    results = {result.kind: result for result in make_results(reading, source, "en", MADE_AT)}
    (report,) = resources(json.loads(results["fhir"].data), "DiagnosticReport")
    assert report["identifier"][0]["value"] == f"urn:oid:{results['sr'].uid}"
