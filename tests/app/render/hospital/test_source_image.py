"""app.render.hospital.source_image: what a result inherits of its film, and what it must not."""

import logging
import time
from collections.abc import Mapping

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files

from app.errors import StudyUnknown
from app.render.hospital.result_set import make_results
from app.render.hospital.source_image import FILM_CLASSES, REQUIRED, read_source_image
from tests import dicoms
from tests.app.render.hospital.results import INSTANCE, MADE_AT, SERIES, STUDY, film, read
from tests.conftest import ROOT

CLEAN = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN-4711",
    "IssuerOfPatientID": "Hospital A",
    "PatientBirthDate": "19650102",
    "PatientSex": "F",
    "PatientAge": "061Y",
    "StudyDate": "20261127",
    "StudyTime": "081530.5",
    "StudyID": "S1",
    "AccessionNumber": "ACC-77",
    "ReferringPhysicianName": "Referrer^Rita",
    "StudyDescription": "Chest PA",
}


@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT])
def test_it_reads_whom_and_which_study_the_film_is_of(syntax: str) -> None:
    source = read_source_image(film(syntax=syntax))
    assert source.attributes == CLEAN
    assert source.sop_class_uid == dicoms.CR
    assert (source.study_uid, source.series_uid, source.sop_instance_uid) == (
        STUDY, SERIES, INSTANCE,
    )  # fmt: skip
    assert (source.modality, source.orientation, source.burned_in) == ("CR", ("L", "F"), None)


INVALID = {
    "PatientName": (0x00100010, "PN", [b"x" * 65, b"a^b^c^d^e^f", b"a=b=c=d", b"Doe\nJane"]),
    "PatientID": (0x00100020, "LO", [b"1" * 65, b"a\\b", b"tab\there", b"esc\x1b[2J"]),
    "PatientBirthDate": (0x00100030, "DA", [b"1965.01.02", b"19650230", b"1965", b"196501021"]),
    "PatientSex": (0x00100040, "CS", [b"female", b"f", b"X", b"M\\F"]),
    "PatientAge": (0x00101010, "AS", [b"62", b"062", b"62Y", b"062Z", b"1062Y"]),
    "StudyDate": (0x00080020, "DA", [b"20261301", b"today", "２０２６１１２７".encode()]),
    "StudyTime": (0x00080030, "TM", [b"08:15", b"2500", b"081", b"0815301234567"]),
    "StudyID": (0x00200010, "SH", [b"s" * 17]),
    "AccessionNumber": (0x00080050, "SH", [b"a" * 17, b"a\\b"]),
    "ReferringPhysicianName": (0x00080090, "PN", [b"r" * 65]),
    "StudyDescription": (0x00081030, "LO", [b"d" * 65, b"d" * 60_000]),
}


@pytest.mark.parametrize("keyword", INVALID)
def test_what_is_not_valid_is_left_out_and_the_rest_stays(keyword: str) -> None:
    tag, vr, values = INVALID[keyword]
    for value in values:
        source = read_source_image(film({tag: (vr, value)}))
        assert source.attributes == {k: v for k, v in CLEAN.items() if k != keyword}, value
        required = source.as_dataset()
        assert all(name in required for name in REQUIRED)


@pytest.mark.parametrize("tag", [0x0020000D, 0x0020000E, 0x00080018, 0x00080016])
@pytest.mark.parametrize("value", [None, b"", b"1", b"1.2.x", b"1." + b"2" * 64, b"../../etc"])
def test_without_the_uids_nothing_can_be_filed(tag: int, value: bytes | None) -> None:
    with pytest.raises(StudyUnknown) as error:
        read_source_image(film({tag: None if value is None else ("UI", value)}))
    assert "etc" not in error.value.detail("en")


@pytest.mark.parametrize("sop_class", ["1.2.3.4", "1.2.840.10008.5.1.4.1.1.2"])  # nobody's, CT
def test_what_is_of_no_class_of_films_gets_no_result(sop_class: str) -> None:
    with pytest.raises(StudyUnknown):
        read_source_image(film({0x00080016: ("UI", sop_class)}))


@pytest.mark.parametrize("sop_class", sorted(FILM_CLASSES))
def test_a_film_of_each_class_gets_its_results(sop_class: str) -> None:
    data = film({0x00080016: ("UI", sop_class)})
    source = read_source_image(data)
    results = make_results(read(film()), source, "en", MADE_AT)
    assert [result.kind for result in results] == ["sr", "sc", "fhir", "hl7"]


@pytest.mark.parametrize("data", [b"", b"no film", film()[:400], film()[:140]])
def test_what_is_no_whole_dicom_file_names_no_study(data: bytes) -> None:
    with pytest.raises(StudyUnknown):
        read_source_image(data)
    with pytest.raises(StudyUnknown):
        read_source_image((ROOT / "examples" / "normal.jpg").read_bytes())


@pytest.mark.parametrize(
    ("terms", "name", "text", "told"),
    [
        ("ISO_IR 100", "Muñoz^Íñigo".encode("latin-1"), "Muñoz^Íñigo", "ISO_IR 100"),
        ("ISO_IR 192", "Muñoz^Íñigo".encode(), "Muñoz^Íñigo", "ISO_IR 100"),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎".encode(), "Yamada^Tarou=山田^太郎", "ISO_IR 192"),
        ("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг", "ISO_IR 192"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东", "ISO_IR 192"),
    ],
)
def test_names_come_through_in_any_alphabet(terms: str, name: bytes, text: str, told: str) -> None:
    source = read_source_image(film({0x00080005: ("CS", terms), 0x00100010: ("PN", name)}))
    assert source.attributes["PatientName"] == text
    assert source.character_set == told


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        ("", "Muñoz".encode()),  # not in ASCII
        ("ISO_IR 6", "Muñoz".encode()),
        ("ISO_IR 192", "Muñoz".encode("latin-1")),  # no UTF-8
        ("KLINGON", "Muñoz".encode()),
        ("\\".join(["ISO 2022 IR 87"] * 100), b"\x1b$B\xff\xff"),
    ],
)
def test_a_name_that_its_character_set_does_not_hold_is_left_out(terms: str, name: bytes) -> None:
    begun = time.perf_counter()
    source = read_source_image(film({0x00080005: ("CS", terms), 0x00100010: ("PN", name)}))
    assert "PatientName" not in source.attributes
    assert source.attributes["PatientID"] == "MRN-4711"
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    "name", ["chrH31.dcm", "chrJapMulti.dcm", "chrKoreanMulti.dcm", "chrRuss.dcm"]
)
def test_it_reads_names_as_pydicom_does(name: str) -> None:
    (path,) = get_charset_files(name)
    given = dcmread(path)
    raw = given.get_item(0x00100010).value
    terms = given.SpecificCharacterSet
    spelled = terms if isinstance(terms, str) else "\\".join(terms)
    source = read_source_image(film({0x00080005: ("CS", spelled), 0x00100010: ("PN", bytes(raw))}))
    assert source.attributes["PatientName"] == str(given.PatientName)


HOSTILE: Mapping[str, bytes] = {
    "many elements": film({0x00090010 + n: ("LO", "x") for n in range(20_000)}),
    "burned in": film({0x00280301: ("CS", "MAYBE")}),
    "modality": film({0x00080060: ("CS", "<script>")}),
    "orientation": film({0x00200020: ("CS", "L\\F\\H")}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_bounded_and_never_quoted(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.perf_counter()
    with caplog.at_level(logging.DEBUG):
        try:
            source = read_source_image(HOSTILE[case])
        except StudyUnknown:
            assert case == "many elements"
        else:
            assert source.modality in ("CR", "OT")
            assert source.burned_in is None
            assert source.orientation in (None, ("L", "F"))
    assert time.perf_counter() - begun < 2
    assert caplog.text == ""


def test_broken_headers_end_in_a_study_unknown_or_in_valid_texts() -> None:
    whole = film()
    chance = np.random.default_rng(22)
    read_well = 0
    for _ in range(400):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[chance.integers(132, 900, 4)] = chance.integers(0, 256, 4)
        try:
            source = read_source_image(broken.tobytes())
        except StudyUnknown:
            continue
        read_well += 1
        assert all(value and value.isprintable() for value in source.attributes.values())
    assert 50 < read_well < 400
