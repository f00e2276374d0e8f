"""app.render.hospital.dicom_sr: what a machine reads back from the report, by highdicom."""

from pathlib import Path

import pytest
from highdicom.sr import srread
from pydicom.dataset import Dataset

from app.language import Language
from app.model.labels import LABEL_IDS
from app.render.hospital.dicom_sr import make_sr
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

SNOMED = {"840539006", "53084003", "75570004"}
FINDING = "121071"


def report_of(probabilities: tuple[float, ...], language: Language = "en") -> Dataset:
    data = film()
    return make_sr(read(data, probabilities), read_source_image(data), language, MADE_AT)


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Return every content item of a concept name's code value, at any depth."""
    found = []
    for item in dataset.get("ContentSequence", []):
        if item.ConceptNameCodeSequence[0].CodeValue == name:
            found.append(item)
        found += items(item, name)
    return found


def code(item: Dataset) -> tuple[str, str, str]:
    value = item.ConceptCodeSequence[0]
    return value.CodeValue, value.CodingSchemeDesignator, value.CodeMeaning


def groups(report: Dataset) -> dict[str, Dataset]:
    return {items(group, "112039")[0].TextValue: group for group in items(report, "125007")}


def test_it_is_a_preliminary_unverified_report_of_the_same_study() -> None:
    report = report_of(COVID)
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert (report.PreliminaryFlag, report.CompletionFlag, report.VerificationFlag) == (
        "PRELIMINARY", "COMPLETE", "UNVERIFIED",
    )  # fmt: skip
    assert (report.PatientName, report.PatientID) == ("Doe^Jane", "MRN-4711")
    assert (report.PatientBirthDate, report.PatientSex) == ("19650102", "F")
    assert (report.StudyInstanceUID, report.StudyID) == (STUDY, "S1")
    assert (report.StudyDate, report.StudyTime) == ("20261127", "081530.5")
    assert (report.AccessionNumber, report.ReferringPhysicianName) == ("ACC-77", "Referrer^Rita")
    assert report.SeriesInstanceUID != SERIES
    assert (report.Modality, report.Manufacturer) == ("SR", "Neumo")
    assert "InstitutionName" not in report


def test_it_tells_when_it_was_made_in_the_time_of_the_place() -> None:
    report = report_of(COVID)
    here = MADE_AT.astimezone()
    assert str(report.ContentDate) == f"{here:%Y%m%d}"
    assert str(report.ContentTime).startswith(f"{here:%H%M%S}")
    assert report.InstanceCreationTime == report.ContentTime


@pytest.mark.parametrize("probabilities", [COVID, NORMAL, DOUBT])
def test_each_probability_is_told_with_what_it_is_of(probabilities: tuple[float, ...]) -> None:
    told = groups(report_of(probabilities))
    assert list(told) == [*LABEL_IDS, "status"]
    expected = {
        "normal": ("none-of-three", "99NEUMO"),
        "covid19": ("840539006", "SCT"),
        "bacterial_pneumonia": ("53084003", "SCT"),
        "viral_pneumonia": ("75570004", "SCT"),
    }
    for label, share in zip(LABEL_IDS, probabilities, strict=True):
        (number,) = items(told[label], "122157")
        value = number.MeasuredValueSequence[0]
        assert float(value.NumericValue) == pytest.approx(share, abs=1e-6)
        assert value.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        (of,) = items(told[label], "probability-of")
        assert code(of)[:2] == expected[label]
        (image,) = items(told[label], "121112")
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == INSTANCE


def test_only_the_label_that_is_called_is_a_finding() -> None:
    report = report_of(COVID)
    assert [code(item) for item in items(report, FINDING)] == [("840539006", "SCT", "COVID-19")]
    assert items(groups(report)["covid19"], FINDING)
    assert [code(item)[0] for item in items(report, "status")] == ["ok"]
    assert items(report, "reason") == []


def test_normal_has_a_code_of_its_own_that_does_not_claim_health() -> None:
    (found,) = items(report_of(NORMAL), FINDING)
    assert code(found) == (
        "none-of-three", "99NEUMO", "None of the three findings looked for",
    )  # fmt: skip


def test_an_uncertain_answer_has_no_finding_whatever_a_machine_looks_for() -> None:
    report = report_of(DOUBT)
    assert items(report, FINDING) == []
    assert items(report, "276214006") == []  # nor a category of findings
    assert [code(item)[0] for item in items(report, "status")] == ["uncertain"]
    reasons = [code(item)[0] for item in items(report, "reason")]
    assert reasons == read(film(), DOUBT).judgement.reasons
    assert reasons
    coded = [item for item in items(report, "probability-of") if code(item)[0] in SNOMED]
    assert len(coded) == 3


@pytest.mark.parametrize("language", ["en", "es"])
def test_reasons_warnings_and_the_notice_are_told_as_text(language: Language) -> None:
    reading = read(film(), DOUBT)
    report = report_of(DOUBT, language)
    texts = [item.TextValue for item in items(report, "121106")]
    assert texts == [
        *(REASONS[reason].render(language) for reason in reading.judgement.reasons),
        *(WARNINGS[warning].render(language) for warning in reading.judgement.warnings),
        NOTICE.render(language),
    ]
    (spoken,) = items(report, "121049")
    assert code(spoken)[:2] == (language, "RFC5646")


def test_it_says_which_model_saw_the_film() -> None:
    report = report_of(COVID)
    card = read(film()).card
    assert {item.TextValue for item in items(report, "111001")} == {card.name}
    assert {item.TextValue for item in items(report, "111003")} == {card.version}
    assert {item.TextValue for item in items(report, "111002")} == {f"sha256={card.sha256}"}
    assert [code(item)[0] for item in items(report, "121005")] == ["121007"]  # a device
    assert report.DeviceSerialNumber == card.sha256[:16]
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99NEUMO"


@pytest.mark.parametrize(("probabilities", "name"), [(COVID, "130404"), (NORMAL, "picture")])
def test_it_refers_to_the_film_and_to_the_picture(
    probabilities: tuple[float, ...], name: str
) -> None:
    data = film()
    reading = read(data, probabilities)
    results = make_results(reading, read_source_image(data), "en", MADE_AT)
    picture = {result.kind: result.uid for result in results}["sc"]
    report = report_of(probabilities)
    (item,) = items(report, name)
    assert item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == picture
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == STUDY
    referenced = {
        instance.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert referenced == {INSTANCE, picture}


def test_highdicom_reads_it_as_a_measurement_report(tmp_path: Path) -> None:
    report_of(COVID).save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    content = srread(tmp_path / "sr.dcm").content
    told = content.get_image_measurement_groups()
    assert len(told) == 5
    assert {group.tracking_identifier for group in told} == {*LABEL_IDS, "status"}
    found = [group.finding_type for group in told if group.finding_type is not None]
    assert [finding.value for finding in found] == ["840539006"]
    values = [m.value for group in told for m in group.get_measurements()]
    assert values == pytest.approx(COVID)


def test_made_again_it_is_the_same_object_at_another_time() -> None:
    data = film()
    first, second = (
        make_sr(read(data), read_source_image(data), "en", at) for at in (MADE_AT, LATER)
    )
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first.SOPInstanceUID.startswith("2.25.")
    different = {element.keyword for element in first if element != second[element.tag]}
    assert different == {
        "ContentDate", "ContentTime", "ContributingEquipmentSequence", "InstanceCreationDate",
        "InstanceCreationTime",
    }  # fmt: skip
