"""app.exchange.film_sort: what is read, what is taken and forgotten, what is refused."""

import io
from functools import cache

import pytest
from pydicom import dcmread
from pydicom.uid import UID, generate_uid

from app.errors import DicomUnsupported, ImageTruncated, NeumoError, StudyUnknown
from app.exchange.film_sort import DROPPED_CLASSES, sort_class, sort_film
from app.render.hospital.result_set import Result, make_results
from app.render.hospital.source_image import FILM_CLASSES, read_source_image
from tests import dicoms
from tests.app.render.hospital.results import INSTANCE, MADE_AT, STUDY, film, read

CT = "1.2.840.10008.5.1.4.1.1.2"
MANUFACTURER = 0x00080070


@cache
def own_results() -> dict[str, Result]:
    """Results of a film, and the hash of the model that they are by under `model`."""
    made = make_results(read(film()), read_source_image(film()), "en", MADE_AT, ("sr", "sc"))
    return {each.kind: each for each in made}


def edited(data: bytes, **changes: object) -> bytes:
    """Write a file again as an archive does that changes what it holds."""
    dataset = dcmread(io.BytesIO(data))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT, dicoms.BIG_ENDIAN])
@pytest.mark.parametrize(
    "sop_class", [dicoms.CR, dicoms.DX, dicoms.DX_FOR_PROCESSING, dicoms.SECONDARY_CAPTURE]
)
def test_a_film_is_read_and_told_by_its_uids(sop_class: str, syntax: str) -> None:
    told = sort_film(film(syntax=syntax, x00080016=sop_class))
    assert (told.verdict, told.error) == ("read", None)
    assert (told.sop_class, told.sop_uid, told.study_uid) == (sop_class, INSTANCE, STUDY)


def test_a_picture_of_another_maker_is_a_film() -> None:
    assert sort_film(film({MANUFACTURER: ("LO", "Neumotron")})).verdict == "read"


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_own_results_are_dropped(kind: str) -> None:
    assert sort_film(own_results()[kind].data).verdict == "drop"


def test_an_own_picture_is_known_by_its_uid_where_the_maker_was_changed() -> None:
    model = read(film()).card.sha256
    sent_back = edited(own_results()["sc"].data, Manufacturer="Hospital A")
    assert sort_film(sent_back, [model]).verdict == "drop"
    assert sort_film(sent_back, ["0" * 64]).verdict == "read"
    other = edited(sent_back, SOPInstanceUID=generate_uid())
    assert sort_film(other, [model]).verdict == "read"


def test_a_report_is_dropped_by_its_class_whatever_else_it_holds() -> None:
    body = dicoms.element(0x00100010, "PN", b"Doe^Jane")
    report = dicoms.file_meta(dicoms.EXPLICIT, "1.2.840.10008.5.1.4.1.1.88.67") + body
    assert sort_film(report).verdict == "drop"
    assert sort_class("1.2.840.10008.5.1.4.1.1.88.67") == "drop"


def test_what_is_dropped_is_no_film() -> None:
    assert not FILM_CLASSES & set(DROPPED_CLASSES)


def test_names_of_dropped_classes_are_those_of_the_standard() -> None:
    named = {uid: UID(uid).name.removesuffix(" Storage") for uid in DROPPED_CLASSES}
    assert named == dict(DROPPED_CLASSES)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(film(x00080016=CT), DicomUnsupported, id="another image"),
        pytest.param(film({0x0020000D: None}), StudyUnknown, id="no study"),
        pytest.param(film({0x0020000E: ("UI", "1.2/../3")}), StudyUnknown, id="no series"),
        pytest.param(film({0x00080018: ("UI", "../../etc")}), StudyUnknown, id="no instance"),
        pytest.param(film({0x00080016: None}), StudyUnknown, id="no class"),
        pytest.param(film(syntax=dicoms.EXPLICIT)[:400], ImageTruncated, id="cut"),
        pytest.param(b"", ImageTruncated, id="nothing"),
        pytest.param(
            dicoms.file_meta(dicoms.DEFLATED) + b"\0" * 99, DicomUnsupported, id="deflated"
        ),
    ],
)
def test_what_can_never_be_filed_is_refused(data: bytes, error: type[NeumoError]) -> None:
    told = sort_film(data)
    assert told.verdict == "refuse"
    assert type(told.error) is error


def test_a_source_that_is_no_sequence_makes_no_result_of_a_film() -> None:
    odd = film({0x00082112: ("SQ", b"\xfe\xff\x00\xe0\xff")})
    assert sort_film(odd, ["0" * 64]).verdict == "read"
