"""app.render.hospital.result_set: the bytes of all that is filed, and whom they name."""

import io
import json
import logging

import numpy as np
import pytest
from pydicom import dcmread

from app.errors import StudyUnknown
from app.render.hospital.result_set import DICOM_TYPE, FHIR_TYPE, HL7_TYPE, make_results
from app.render.hospital.source_image import read_source_image
from tests.app.render.hospital.results import MADE_AT, film, read

CANARY = "CANARY"
# What a result of the film has to carry; everything else of a film stays in it.
CARRIED = {
    0x00100010: ("PN", "CANARYNAME^A"),
    0x00100020: ("LO", "CANARYID"),
    0x00100021: ("LO", "CANARYISSUER"),
    0x00080050: ("SH", "CANARYACC"),
    0x00080090: ("PN", "CANARYREF"),
    0x00081030: ("LO", "CANARYSTUDY"),
    0x00200010: ("SH", "CANARYSID"),
}
NOT_CARRIED = {
    0x00080080: ("LO", "CANARYHOSPITAL"),
    0x00081010: ("SH", "CANARYSTATION"),
    0x0008103E: ("LO", "CANARYSERIES"),
    0x00081050: ("PN", "CANARYPERFORMER"),
    0x00081070: ("PN", "CANARYOPERATOR"),
    0x00090010: ("LO", "CANARYPRIVATE"),
    0x00101001: ("PN", "CANARYOTHER"),
    0x00101040: ("LO", "CANARYADDRESS"),
    0x00102154: ("SH", "CANARYPHONE"),
    0x00104000: ("LT", "CANARYCOMMENTS"),
    0x00180015: ("CS", "CANARYBODY"),
    0x00204000: ("LT", "CANARYIMAGE"),
}


def canaries(data: bytes) -> set[str]:
    words = data.decode("latin-1").replace("^", " ").replace('"', " ")
    words = "".join(sign if sign.isalnum() else " " for sign in words)
    return {word[word.index(CANARY) :][:16] for word in words.split() if CANARY in word}


def test_each_kind_is_bytes_of_its_type() -> None:
    data = film()
    results = make_results(read(data), read_source_image(data), "en", MADE_AT)
    assert [(result.kind, result.media_type) for result in results] == [
        ("sr", DICOM_TYPE), ("sc", DICOM_TYPE), ("fhir", FHIR_TYPE), ("hl7", HL7_TYPE),
    ]  # fmt: skip
    for result in results[:2]:
        dataset = dcmread(io.BytesIO(result.data))
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == result.uid
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert json.loads(results[2].data)["resourceType"] == "Bundle"
    assert results[3].data.startswith(b"MSH|^~\\&|NEUMO|")
    assert results[3].uid == results[2].uid == results[0].uid


def test_only_what_is_asked_for_is_made() -> None:
    data = film()
    results = make_results(read(data), read_source_image(data), "en", MADE_AT, ("fhir",))
    assert [result.kind for result in results] == ["fhir"]


def test_a_result_carries_what_files_it_and_nothing_else_of_the_film(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = film({**CARRIED, **NOT_CARRIED})
    assert len(canaries(data)) == len(CARRIED) + len(NOT_CARRIED)
    with caplog.at_level(logging.DEBUG):
        results = {
            result.kind: canaries(result.data)
            for result in make_results(read(data), read_source_image(data), "en", MADE_AT)
        }
    carried = {value.partition("^")[0] for _, value in CARRIED.values()}
    assert results["sr"] == carried
    assert results["sc"] <= carried
    assert "CANARYID" in results["sc"]
    assert results["fhir"] == {"CANARYID", "CANARYISSUER", "CANARYACC"}
    assert results["hl7"] == {"CANARYNAME", "CANARYID", "CANARYISSUER", "CANARYACC"}
    assert caplog.text == ""
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_a_long_hostile_name_makes_no_hostile_result(kind: str) -> None:
    data = film({0x00100010: ("PN", b"A" * 60_000), 0x00081030: ("LO", b"\x00\x1b]0;x\x07")})
    results = {r.kind: r for r in make_results(read(data), read_source_image(data), "en", MADE_AT)}
    dataset = dcmread(io.BytesIO(results[kind].data))
    assert dataset.PatientName == ""
    assert "StudyDescription" not in dataset
    assert len(results["sr"].data) < 20_000


def test_a_broken_header_never_breaks_a_result() -> None:
    whole = film()
    chance = np.random.default_rng(23)
    made = 0
    for _ in range(60):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[chance.integers(400, 900, 6)] = chance.integers(0, 256, 6)
        try:
            source = read_source_image(broken.tobytes())
        except StudyUnknown:
            continue
        report, bundle = make_results(read(whole), source, "es", MADE_AT, ("sr", "fhir"))
        assert dcmread(io.BytesIO(report.data)).StudyInstanceUID == source.study_uid
        json.loads(bundle.data)
        made += 1
    assert made > 5
