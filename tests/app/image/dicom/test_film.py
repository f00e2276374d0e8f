"""app.image.dicom.film: which files are read, and what is said of them."""

import hashlib
import logging
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from app.errors import (
    DicomUnsupported,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    RequestError,
    UnsupportedMediaType,
)
from app.image import decode as decode_module
from app.image.decode import decode
from app.image.dicom.file_meta import TRANSFER_SYNTAXES
from app.image.grey_image import DicomFacts, DicomTags, GreyWindow, ImageFacts, Limits
from tests import dicoms
from tests.conftest import ROOT
from tests.dicoms import Value, element, elements, file_meta, header, native

PIXELS = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80) % 4096
SMALL = (PIXELS % 256).astype(np.uint8)


def file(**more: Value) -> bytes:
    return native(PIXELS, 12, **more)


def reason(data: bytes) -> object:
    with pytest.raises(DicomUnsupported) as refusal:
        decode(data)
    return refusal.value.facts.get("reason")


def test_the_facts_are_those_of_the_file() -> None:
    data = file(x00281050="1000\\7", x00281051="400\\8", x00283010=[])
    assert decode(data).facts == ImageFacts(
        "DICOM",
        80,
        64,
        12,
        hashlib.sha256(data).hexdigest(),
        DicomFacts(
            transfer_syntax=dicoms.EXPLICIT,
            transfer_syntax_name="Explicit VR Little Endian",
            bits_stored=12,
            photometric_interpretation="MONOCHROME2",
            window=GreyWindow("linear", 1000.0, 400.0),
            windows=2,
            sop_instance_uid=dicoms.SOP_INSTANCE,
        ),
    )


def test_names_of_transfer_syntaxes_are_those_of_the_standard() -> None:
    shortened = {name: uid.UID(name).name for name in TRANSFER_SYNTAXES}
    for name, syntax in TRANSFER_SYNTAXES.items():
        assert shortened[name].startswith(syntax.name.partition(" (")[0].partition(", First")[0])
        assert syntax.is_implicit == uid.UID(name).is_implicit_VR
        assert syntax.is_little_endian == uid.UID(name).is_little_endian
        assert (syntax.coding != "native") == uid.UID(name).is_compressed


@pytest.mark.parametrize("uid", ["1.2.x", "ZEBULON", "1" * 65, ""])
def test_what_is_no_uid_is_not_told(uid: str) -> None:
    facts = decode(file(x00080018=uid)).facts.dicom
    assert facts is not None
    assert facts.sop_instance_uid is None


def test_the_tags_are_neumos_words() -> None:
    data = file(
        x00101010="018M",
        x00185101="LL ",
        x00180015="CHEST",
        x00200020="A\\FR",
        x00200062="L",
        x00100010="CANARY^Zebulon",
    )
    assert decode(data).tags == DicomTags(1.5, "lateral", "chest", "CR", ("A", "FR"), "L")


@pytest.mark.parametrize(
    ("tag", "text", "name", "expected"),
    [
        ("x00101010", "061Y", "age_years", 61.0),
        ("x00101010", "026W", "age_years", pytest.approx(26 * 7 / 365.25)),
        ("x00101010", "010D", "age_years", pytest.approx(10 / 365.25)),
        ("x00101010", "62", "age_years", None),  # of what? not guessed
        ("x00101010", "131Y", "age_years", None),
        ("x00101010", "-61Y", "age_years", None),
        ("x00185101", "PA", "view", "PA"),
        ("x00185101", "AP ERECT", "view", "AP"),
        ("x00185101", "RLD", "view", "other"),
        ("x00185101", "CANARY", "view", "other"),
        ("x00180015", "Thorax", "body_part", "chest"),
        ("x00180015", "CANARY", "body_part", "other"),
        ("x00080060", "CANARY", "modality", "other"),
        ("x00200020", "CANARY\\F", "patient_orientation", None),
        ("x00200020", "L", "patient_orientation", None),
        ("x00200060", "R", "laterality", "R"),
        ("x00200060", "CANARY", "laterality", None),
    ],
)
def test_a_tag_that_is_no_defined_term_is_no_text_of_the_file(
    tag: str, text: str, name: str, expected: object
) -> None:
    tags = decode(file(**{tag: text})).tags
    assert getattr(tags, name) == expected


@pytest.mark.parametrize(
    ("code", "view"), [("272479007", "PA"), ("399348003", "AP"), ("R-10214", "PA"), ("1", "other")]
)
def test_a_view_may_be_a_code(code: str, view: str) -> None:
    tags = decode(file(x00540220=[{0x00080100: code}])).tags
    assert tags is not None
    assert tags.view == view


def test_a_birth_date_is_no_age() -> None:
    data = file_meta(dicoms.EXPLICIT) + elements(header(PIXELS, 12) | {0x00100030: b"19700101"})
    tags = decode(data + element(0x7FE00010, "OW", PIXELS.tobytes())).tags
    assert tags is not None
    assert tags.age_years is None


@pytest.mark.parametrize("sop_class", [dicoms.CR, dicoms.DX, dicoms.SECONDARY_CAPTURE])
def test_projection_radiographs_and_secondary_captures_are_read(sop_class: str) -> None:
    assert decode(native(PIXELS, 12, sop_class=sop_class)).facts.width == 80


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        (dicoms.DX_FOR_PROCESSING, "for_processing"),
        ("1.2.840.10008.5.1.4.1.1.7.2", "multi_frame"),
        ("1.2.840.10008.5.1.4.1.1.2", None),  # CT
        ("1.2.840.10008.5.1.4.1.1.88.22", None),  # a report
        ("1.2.840.10008.1.3.10", "dicomdir"),
    ],
)
def test_other_objects_are_refused(sop_class: str, expected: str | None) -> None:
    assert reason(native(PIXELS, 12, sop_class=sop_class)) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"x00080068": "FOR PROCESSING"}, "for_processing"),
        ({"x00280008": "2"}, "multi_frame"),
        ({"x00280008": "many"}, "multi_frame"),
        ({"x00280004": "CMYK"}, "pixels"),
        ({"x00280004": "MONOCHROME3"}, "pixels"),
        ({"x00280002": 2}, "pixels"),
        ({"x00280100": 32}, "pixels"),
        ({"x00280100": 1}, "pixels"),
    ],
)
def test_other_images_are_refused(more: dict[str, Value], expected: str) -> None:
    assert reason(file(**more)) == expected


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.4.100",  # MPEG-2
        "1.2.840.10008.1.2.4.94",  # JPIP
        "1.2.840.10008.1.2.4.110",  # JPEG XL
        "1.2.840.113619.5.2",
        "1.2.3",
    ],
)
def test_other_transfer_syntaxes_are_refused_before_the_data_set_is_read(syntax: str) -> None:
    assert reason(file_meta(syntax) + b"\xff" * 200) == "transfer_syntax"


def test_deflated_is_refused_before_anything_is_inflated() -> None:
    assert reason(file_meta(dicoms.DEFLATED) + b"\xff" * 200) == "deflated"


def test_an_empty_value_of_no_known_vr_is_none_at_all() -> None:
    values = header(PIXELS, 12)
    values.pop(0x00280103)
    odd = struct.pack("<HH2sH", 0x0028, 0x0103, b"UZ", 0)
    data = file_meta(dicoms.EXPLICIT) + elements(values) + odd
    with pytest.raises(ImageUndecodable):
        decode(data + element(0x7FE00010, "OW", PIXELS.tobytes()))


def test_one_frame_may_be_said() -> None:
    assert decode(file(x00280008="1")).facts.height == 64


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (file(x00280010=8000, x00280011=8000), ImageTooManyPixels),
        (file(x00280010=63), ImageTooSmall),
        (file(x00280011=81), ImageTruncated),
        (file(x00280011=79), ImageUndecodable),
        (file(x00280101=17), ImageUndecodable),
        (file(x00280101=0), ImageUndecodable),
        (file(x00280102=16), ImageUndecodable),
        (file(x00280102=10), ImageUndecodable),
        (file(x00280010=""), ImageUndecodable),
        (file()[:-1], ImageTruncated),
        (file() + b"\0\0", None),  # what follows the pixels is not the image's
        (file()[:140], ImageTruncated),
        (file()[:132], ImageTruncated),
        (file()[:600], ImageTruncated),
        (bytes(128) + b"DICM" + b"hello" * 100, ImageUndecodable),
        (
            bytes(128) + b"DICM" + element(0x00020001, "OB", bytes(70_000)) + bytes(9),
            ImageUndecodable,
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(data: bytes, error: type[RequestError] | None) -> None:
    if error is None:
        decode(data)
        return
    with pytest.raises(error):
        decode(data)


def test_a_data_set_in_another_vr_than_it_says_is_read() -> None:
    data = file_meta(dicoms.EXPLICIT) + elements(header(PIXELS, 12), dicoms.IMPLICIT)
    data += element(0x7FE00010, "OW", PIXELS.tobytes(), dicoms.IMPLICIT)
    assert (decode(data).pixels == decode(file()).pixels).all()


def test_big_endian_bytes_in_words_are_read() -> None:
    words = SMALL.reshape(-1, 2)[:, ::-1].tobytes()
    data = file_meta(dicoms.BIG_ENDIAN) + elements(header(SMALL), dicoms.BIG_ENDIAN)
    data += element(0x7FE00010, "OW", words, dicoms.BIG_ENDIAN)
    assert (decode(data).pixels == SMALL).all()


def test_an_icon_in_the_header_is_not_the_image() -> None:
    icon = elements({0x00280010: 3, 0x00280011: 3}) + element(0x7FE00010, "OW", bytes(18))
    item = b"\xfe\xff\x00\xe0" + len(icon).to_bytes(4, "little") + icon
    values = header(PIXELS, 12)
    before = elements({tag: value for tag, value in values.items() if tag < 0x00280000})
    after = elements({tag: value for tag, value in values.items() if tag >= 0x00280000})
    data = before + element(0x00240024, "SQ", item) + after
    data = file_meta(dicoms.EXPLICIT) + data + element(0x7FE00010, "OW", PIXELS.tobytes())
    assert decode(data).facts.width == 80


NOISY = {
    0x00080005: "NO_SUCH_CHARSET_CANARY",
    0x00100010: "CANARY^Zebulon",
    0x00101010: "CANARY",
    0x00281050: "CANARY",
}


def test_odd_values_are_quoted_nowhere(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    values = header(PIXELS, 12) | NOISY | {0x00281051: "4"}
    data = file_meta(dicoms.EXPLICIT) + elements(values)
    with caplog.at_level(logging.DEBUG), pytest.raises(DicomUnsupported) as refusal:
        decode(data + element(0x7FE00010, "OW", PIXELS.tobytes()))
    assert "CANARY" not in str(refusal.value)
    assert "CANARY" not in caplog.text + "".join(capfd.readouterr())


def test_odd_values_make_no_warning_in_a_process_of_its_own(tmp_path: Path) -> None:
    values = header(PIXELS, 12) | NOISY | {0x00281050: "2000", 0x00281051: "40"}
    path = tmp_path / "film.dcm"
    path.write_bytes(
        file_meta(dicoms.EXPLICIT) + elements(values) + element(0x7FE00010, "OW", PIXELS.tobytes())
    )
    code = (
        "import sys; from pathlib import Path; from app.image.decode import decode;"
        "decode(Path(sys.argv[1]).read_bytes())"
    )
    command = [sys.executable, "-W", "always", "-c", code, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "CANARY" not in done.stderr + done.stdout


def test_without_the_extra_a_dicom_file_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "app.image.dicom.film", None)
    with pytest.raises(UnsupportedMediaType, match=r"neumo\[dicom\]"):
        decode_module.decode(file())


def test_a_service_that_reads_no_dicom_loads_none_of_it() -> None:
    code = (
        "import sys, app.main, io; from PIL import Image; from app.image.resize import warm_up;"
        "warm_up(); print([name for name in sys.modules if name.partition('.')[0] in"
        " ('pydicom', 'imagecodecs') or name.startswith('app.image.dicom')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_limits_are_the_callers() -> None:
    with pytest.raises(ImageTooManyPixels):
        decode(file(), Limits(max_pixels=64 * 80 - 1))
